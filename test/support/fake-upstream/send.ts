import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { Body } from "./answer.ts";
import type { Pause, Plan } from "./faults.ts";

/** Bytes handed to the socket at once where no rate says less. */
const PIECE_BYTES = 256 * 1024;
/** Of each header that never ends: so many that a limit by count or by size is met soon. */
const HEADER_VALUE_LENGTH = 100;

/** An exchange as the sender sees it. */
export interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** Aborted when the socket is gone. */
  readonly signal: AbortSignal;
  readonly onHead: (status: number) => void;
  readonly onBytes: (count: number) => void;
}

/** Sends what the plan says; rejects only with the signal's reason or what a scripted handler throws. */
export async function send(exchange: Exchange, plan: Plan): Promise<void> {
  const { req, res } = exchange;
  if (plan.instead === "hang") return forever(exchange.signal);
  if (plan.instead === "drop") {
    res.socket?.destroy();
    return;
  }
  if (typeof plan.instead === "object") return await sendHeaders(exchange, plan.instead.everyMs);
  if (plan.instead !== undefined) return await plan.instead(req, res);
  writeHead(exchange, plan);
  if (req.method === "HEAD") return void res.end();
  const ended = await sendBody(exchange, plan);
  if (ended === "reset") res.socket?.resetAndDestroy();
  else if (ended === "sent" && isWhole(plan)) res.end();
  else res.socket?.destroySoon();
}

/** Past Node's own writer, which would want to end them. */
async function sendHeaders({ res, signal }: Exchange, everyMs: number | undefined): Promise<void> {
  const { socket } = res;
  socket?.write("HTTP/1.1 200 OK\r\n");
  for (let count = 0; ; count += 1) {
    signal.throwIfAborted();
    const flows = socket?.write(`X-Header-${count}: ${"-".repeat(HEADER_VALUE_LENGTH)}\r\n`);
    if (everyMs !== undefined) await delay(everyMs, undefined, { signal });
    // Not `once`, which fails where the client resets: that is the end, and no mistake.
    else if (flows === false) await Promise.race([new Promise((go) => socket?.once("drain", go)), forever(signal)]);
  }
}

/** A client would wait for the rest, or read the surplus as the next answer: no such connection is used again. */
function isWhole({ answer, contentLength }: Plan): boolean {
  return typeof contentLength !== "number" || contentLength === answer.body.size;
}

function writeHead({ res, onHead }: Exchange, { answer, contentLength }: Plan): void {
  const length = contentLength === "fit" ? answer.body.size : contentLength;
  res.writeHead(answer.status, {
    ...answer.headers,
    ...(length === undefined ? {} : { "content-length": String(length) }),
  });
  res.flushHeaders();
  onHead(answer.status);
}

async function sendBody(exchange: Exchange, plan: Plan): Promise<"sent" | "cut" | "reset"> {
  const { body } = plan.answer;
  const startedMs = performance.now();
  let at = 0;
  const upTo = async (end: number) => {
    for (; at < end; at = Math.min(end, at + (plan.rate?.pieceBytes ?? PIECE_BYTES))) {
      if (plan.rate !== undefined) await dueTime(exchange.signal, startedMs, (at / plan.rate.bytesPerSecond) * 1000);
      await write(exchange, body, at, Math.min(end, at + (plan.rate?.pieceBytes ?? PIECE_BYTES)));
    }
  };
  for (const pause of plan.pauses.filter((one) => one.atByte <= body.size)) {
    await upTo(pause.atByte);
    if (pause.what === "cut" || pause.what === "reset") return pause.what;
    await rest(pause, exchange.signal);
  }
  await upTo(body.size);
  return "sent";
}

async function rest({ what }: Pause, signal: AbortSignal): Promise<void> {
  await (what instanceof Promise ? Promise.race([what, forever(signal)]) : forever(signal));
}

async function write({ res, signal, onBytes }: Exchange, body: Body, start: number, end: number): Promise<void> {
  signal.throwIfAborted();
  const flows = res.write(body.piece(start, end));
  onBytes(end - start);
  if (!flows) await once(res, "drain", { signal });
}

async function dueTime(signal: AbortSignal, startedMs: number, afterMs: number): Promise<void> {
  const leftMs = startedMs + afterMs - performance.now();
  if (leftMs > 0) await delay(leftMs, undefined, { signal });
}

async function forever(signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
}
