import type { ServerResponse } from "node:http";
import { ProblemError } from "../server/problem.ts";
import type { ApiAnswer, AskedApi } from "./api/asked.ts";
import { noSuchPath } from "./no-such-path.ts";

/** A reader that takes nothing for so long is not there any more. */
const READER_MS_MAX = 60_000;

/** Rejects with a `ProblemError` what cannot be asked at all. */
export function assertMethod(api: AskedApi, path: string, method: string): void {
  const methods = api.methodsOf(path);
  if (methods.length === 0) throw noSuchPath(path);
  if (methods.includes(method === "HEAD" ? "GET" : method)) return;
  const allowed = methods.flatMap((one) => (one === "GET" ? ["GET", "HEAD"] : [one])).join(", ");
  throw new ProblemError(405, `${path} takes ${allowed}`, { headers: { Allow: allowed } });
}

export interface SendOptions {
  /** Ends when there is nobody to send to. */
  readonly signal: AbortSignal;
  readonly isHead?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
  readonly onBytes?: (bytes: number) => void;
}

/** Waits for a reader that is slow: no more pieces are made meanwhile. Rejects when it leaves before the end. */
export async function sendAnswer(res: ServerResponse, answer: ApiAnswer, options: SendOptions): Promise<void> {
  const { isHead = false, headers = {}, onBytes = () => undefined } = options;
  const { status, body } = answer;
  const all = { ...answer.headers, ...headers, "X-Content-Type-Options": "nosniff" };
  if (Buffer.isBuffer(body)) {
    res.writeHead(status, status === 304 ? all : { ...all, "Content-Length": body.length });
    if (!isHead) onBytes(body.length);
    res.end(isHead || status === 304 ? undefined : body);
    return;
  }
  res.writeHead(status, all);
  if (isHead) {
    // Never begun, so there is nothing to end.
    res.end();
    return;
  }
  res.flushHeaders();
  for await (const piece of body) {
    onBytes(piece.length);
    if (!res.write(piece)) await drained(res, options.signal);
  }
  res.end();
}

async function drained(res: ServerResponse, signal: AbortSignal): Promise<void> {
  await new Promise<void>((done, failed) => {
    const slow = setTimeout(() => fail(new Error("the reader takes nothing")), READER_MS_MAX);
    const leave = (): void => {
      clearTimeout(slow);
      res.off("drain", drain);
      signal.removeEventListener("abort", abort);
    };
    const fail = (error: Error): void => {
      leave();
      failed(error);
    };
    const abort = (): void => fail(signal.reason as Error);
    const drain = (): void => {
      leave();
      done();
    };
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    res.once("drain", drain);
  });
}
