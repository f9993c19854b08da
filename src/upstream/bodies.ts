import { Readable } from "node:stream";
import type { Bandwidth } from "./bandwidth.ts";
import { faultOf } from "./faults.ts";
import type { HttpAnswer } from "./request.ts";
import { UpstreamError } from "./upstream.ts";

/** Of an answer that nobody wants, so much is read to keep its connection; with more the connection is given up. */
const DISCARD_BYTES_MAX = 16 * 1024;

/** Lets go of an answer's body. Never fails and needs no waiting for. */
export function discard(answer: HttpAnswer): void {
  let bytes = 0;
  answer.body.on("error", () => {});
  answer.body.on("data", (piece: Buffer) => {
    bytes += piece.length;
    answer.received?.(piece.length);
    if (bytes > DISCARD_BYTES_MAX) answer.body.destroy();
  });
}

/** Gives up an answer together with its connection, where reading on could mean reading a whole layer. */
export function cancel(answer: HttpAnswer): void {
  answer.body.on("error", () => {});
  answer.body.destroy();
}

/**
 * Reads the whole body.
 * @throws UpstreamError `protocol` where it is longer than `bytesMax`, else as the transfer fails
 */
export async function readAll(answer: HttpAnswer, bytesMax: number, signal: AbortSignal): Promise<Buffer> {
  const tooLong = () =>
    new UpstreamError("protocol", `an answer of ${answer.url.host} is longer than ${bytesMax} bytes`);
  const said = contentLength(answer);
  if (said !== undefined && said > bytesMax) {
    cancel(answer);
    throw tooLong();
  }
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const piece of answer.body as AsyncIterable<Buffer>) {
      bytes += piece.length;
      answer.received?.(piece.length);
      // Leaving the loop destroys the body.
      if (bytes > bytesMax) throw tooLong();
      pieces.push(piece);
    }
  } catch (error) {
    throw faultOf(error, answer.url.host, signal);
  }
  return Buffer.concat(pieces, bytes);
}

/** A header's only value; undefined where it is absent or stands there twice. */
export function header(answer: HttpAnswer, name: string): string | undefined {
  const value = answer.headers[name];
  return typeof value === "string" ? value : undefined;
}

export function headerValues(answer: HttpAnswer, name: string): readonly string[] {
  const value = answer.headers[name] ?? [];
  return typeof value === "string" ? [value] : value;
}

/** Bytes; undefined where it is not said or no number. */
export function contentLength(answer: HttpAnswer): number | undefined {
  const text = header(answer, "content-length") ?? "";
  const bytes = /^\d{1,16}$/.test(text) ? Number(text) : undefined;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/**
 * A transfer as its caller sees it: errors are `UpstreamError`s, and an end before or after the expected length is an
 * error too (a chunked answer to a range request has no Content-Length for the HTTP parser to insist on). No byte is
 * copied; back-pressure reaches the socket, also that of a bandwidth: undici's idle time stands still meanwhile.
 */
export class TransferBody extends Readable {
  readonly #answer: HttpAnswer;
  readonly #source: Readable;
  readonly #host: string;
  readonly #expectedBytes: number | undefined;
  readonly #bandwidth: Bandwidth | undefined;
  #bytes = 0;
  /** The piece that waits for its turn. */
  #waiting: Parameters<Bandwidth["take"]>[0] | undefined;
  #hasEnded = false;
  #wasHeldBack = false;

  constructor(answer: HttpAnswer, expectedBytes: number | undefined, signal: AbortSignal, bandwidth?: Bandwidth) {
    super();
    this.#answer = answer;
    this.#source = answer.body;
    this.#host = answer.url.host;
    this.#expectedBytes = expectedBytes;
    this.#bandwidth = bandwidth;
    this.#source.on("data", (piece: Buffer) => this.#take(piece));
    this.#source.on("end", () => this.#finish());
    this.#source.on("error", (error) => this.destroy(faultOf(error, this.#host, signal)));
    this.#source.pause();
    // It may fail before its owner listens; whoever reads it later is told all the same.
    this.on("error", () => {});
  }

  /** Whether the bandwidth has held it back since that was asked last. */
  wasHeldBack(): boolean {
    const was = this.#wasHeldBack || this.#waiting !== undefined;
    this.#wasHeldBack = false;
    return was;
  }

  override _read(): void {
    if (this.#waiting === undefined) this.#source.resume();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    if (this.#waiting !== undefined) this.#bandwidth?.leave(this.#waiting);
    this.#source.destroy();
    callback(error);
  }

  #take(piece: Buffer): void {
    this.#bytes += piece.length;
    this.#answer.received?.(piece.length);
    if (this.#expectedBytes !== undefined && this.#bytes > this.#expectedBytes) return this.#fail("more");
    const waiting = { bytes: piece.length, go: () => this.#goOn(piece) };
    if (this.#bandwidth === undefined || this.#bandwidth.take(waiting)) return this.#give(piece);
    this.#waiting = waiting;
    this.#wasHeldBack = true;
    this.#source.pause();
  }

  #goOn(piece: Buffer): void {
    this.#waiting = undefined;
    this.#source.resume();
    this.#give(piece);
    if (this.#hasEnded) this.#finish();
  }

  #give(piece: Buffer): void {
    if (!this.push(piece)) this.#source.pause();
  }

  /** A source may end while its last piece waits. */
  #finish(): void {
    this.#hasEnded = true;
    if (this.#waiting !== undefined) return;
    if (this.#expectedBytes !== undefined && this.#bytes < this.#expectedBytes) this.#fail("fewer");
    else this.push(null);
  }

  #fail(which: "more" | "fewer"): void {
    const message = `${this.#host} sent ${which} bytes than the ${this.#expectedBytes} it announced`;
    this.destroy(new UpstreamError(which === "more" ? "protocol" : "unreachable", message));
  }
}
