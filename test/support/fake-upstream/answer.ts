import type { IncomingHttpHeaders } from "node:http";
import type { Role } from "./types.ts";

/** A request as the hosts' handlers see it. */
export interface FakeRequest {
  readonly role: Role;
  readonly method: string;
  /** As received, with the query. */
  readonly path: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
}

/** Bytes that are cut into pieces only when sent, so that faults in a 256 MiB blob copy nothing. */
export interface Body {
  readonly size: number;
  piece(start: number, end: number): Uint8Array;
}

/** What a handler wants to send; faults change it before it goes out. Header names are lower case. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: Body;
  /** A Range may be taken of this 200. */
  readonly rangeable?: boolean;
}

export type Handler = (request: FakeRequest) => Answer;

export function bodyOf(bytes: Uint8Array | string): Body {
  const whole = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
  return { size: whole.length, piece: (start, end) => whole.subarray(start, end) };
}

export const EMPTY = bodyOf("");

export function partOf(body: Body, start: number, size: number): Body {
  return { size, piece: (from, to) => body.piece(start + from, start + to) };
}

export function withFlippedByte(body: Body, at: number): Body {
  return {
    size: body.size,
    piece(start, end) {
      const piece = body.piece(start, end);
      if (at < start || at >= end) return piece;
      const copy = Uint8Array.from(piece);
      copy[at - start] = ~(copy[at - start] ?? 0);
      return copy;
    },
  };
}

export function withMoreBytes(body: Body, count: number): Body {
  const more = Buffer.alloc(count, "+");
  return {
    size: body.size + count,
    piece: (start, end) =>
      start >= body.size
        ? more.subarray(start - body.size, end - body.size)
        : end <= body.size
          ? body.piece(start, end)
          : Buffer.concat([body.piece(start, body.size), more.subarray(0, end - body.size)]),
  };
}

export function json(status: number, value: unknown, headers: Answer["headers"] = {}): Answer {
  return { status, headers: { "content-type": "application/json", ...headers }, body: bodyOf(JSON.stringify(value)) };
}

export function refusal(status: number, code: string, headers: Answer["headers"] = {}): Answer {
  return json(status, { errors: [{ code, message: `the fake says ${code}` }] }, headers);
}

export function redirect(status: number, location: string): Answer {
  return { status, headers: { location }, body: EMPTY };
}

export function page(status: number): Answer {
  const body = bodyOf("<!DOCTYPE html><html><head><title>A page</title></head><body><p>For people.</p></body></html>");
  return { status, headers: { "content-type": "text/html; charset=utf-8" }, body };
}
