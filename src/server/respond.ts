import { RegistryError } from "../oci/errors.ts";
import type { Exchange } from "./exchange.ts";
import { isOfApi, PROBLEM_TYPE, ProblemError, problemOf } from "./problem.ts";

/**
 * Sends the head of the answer. Node.js writes an array of names and values as it is; it would copy and look up each header
 * of an object, which costs a hit a tenth of its time.
 */
export function sendHead(exchange: Exchange, status: number, headers: Record<string, string | number>): void {
  const raw: (string | number)[] = [];
  for (const [name, value] of Object.entries(exchange.headers)) raw.push(name, value);
  for (const [name, value] of Object.entries(headers)) raw.push(name, value);
  exchange.headAtMs = performance.now();
  exchange.res.writeHead(status, raw);
}

/** Sends a small JSON document. */
export function sendJson(
  exchange: Exchange,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  // So that a terminal's prompt stands on a line of its own.
  sendWhole(exchange, status, `${text}\n`, { "Content-Type": "application/json", ...headers });
}

/** Sends a small text, which is not for browsers to guess about. */
export function sendText(
  exchange: Exchange,
  text: string,
  contentType: string,
  headers: Record<string, string> = {},
): void {
  sendWhole(exchange, 200, text, { "Content-Type": contentType, ...headers });
}

function sendWhole(exchange: Exchange, status: number, text: string, headers: Record<string, string>): void {
  const bytes = Buffer.from(text);
  sendHead(exchange, status, { ...headers, "Content-Length": bytes.length, "X-Content-Type-Options": "nosniff" });
  if (!exchange.isHead) exchange.notes.bytes += bytes.length;
  exchange.res.end(exchange.isHead ? undefined : bytes);
}

/**
 * The one place where an error becomes a response. After the head was sent only a broken connection can tell the client
 * that the body is not whole.
 */
export function sendError(exchange: Exchange, error: unknown): void {
  const { res, notes } = exchange;
  notes.error = error;
  if (exchange.signal.aborted || res.destroyed) {
    res.destroy();
    return;
  }
  if (res.headersSent) {
    res.destroy();
    return;
  }
  if (isOfApi(exchange.path)) return sendProblem(exchange, problemOf(error) ?? new ProblemError(500, INTERNAL));
  const told = error instanceof RegistryError ? error : new RegistryError(500, "UNKNOWN", INTERNAL);
  const retryAfter = told.retryAfterS === undefined ? {} : { "Retry-After": retryAfterText(told.retryAfterS) };
  sendJson(exchange, told.status, told.toJSON(), { ...retryAfter, ...told.headers });
}

function sendProblem(exchange: Exchange, problem: ProblemError): void {
  const { method } = exchange.req;
  // Nobody has read what more such a request may have sent.
  const close = method === "GET" || method === "HEAD" ? {} : { Connection: "close" };
  const headers = { "Content-Type": PROBLEM_TYPE, "Cache-Control": "no-store", ...close, ...problem.headers };
  sendJson(exchange, problem.status, problem.toJSON(), headers);
}

const INTERNAL = "an internal error; see the log";

/** Podman sleeps what we say, five times; asking us again costs nothing, and it is we who wait for upstream. */
const RETRY_AFTER_MAX_S = 10;

function retryAfterText(seconds: number): string {
  return String(Math.min(RETRY_AFTER_MAX_S, Math.max(1, Math.ceil(seconds))));
}
