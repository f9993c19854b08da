import type { IncomingMessage } from "node:http";
import { RegistryError } from "../oci/errors.ts";

/** Any client sends fewer than twenty; each costs memory and a look-up. */
const HEADERS_MAX = 100;
/** `uri-host [":" port]` (RFC 9110, section 7.2); it may be empty. */
const HOST = /^(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::\d*)?$/;

/** Refuses what two servers in a row could read differently: none, several or malformed Host headers, and several Authorization ones. */
export function assertHeaders(req: IncomingMessage): void {
  const { rawHeaders } = req;
  if (rawHeaders.length > 2 * HEADERS_MAX) {
    throw refused(431, `the request has more than ${HEADERS_MAX} headers`);
  }
  const { host } = req.headers;
  // RFC 9112, section 3.2: exactly one; HTTP/1.0 had none.
  if (host === undefined && req.httpVersion !== "1.0") throw refused(400, "the request has no Host header");
  if (countOf(rawHeaders, "host") > 1) throw refused(400, "the request has several Host headers");
  if (req.headers.authorization !== undefined && countOf(rawHeaders, "authorization") > 1) {
    throw refused(400, "the request has several Authorization headers");
  }
  if (host !== undefined && !HOST.test(host)) throw refused(400, "the Host header is malformed");
}

/** A body on GET means nothing, and is how requests are smuggled past other servers (RFC 9110, section 9.3.1). */
export function assertNoBody(req: IncomingMessage): void {
  if (req.method !== "GET" && req.method !== "HEAD") return;
  const { "content-length": length, "transfer-encoding": encoding } = req.headers;
  if ((length === undefined || Number(length) === 0) && encoding === undefined) return;
  throw refused(400, `a ${req.method} request must not have a body`);
}

/** Nothing that follows on such a connection can be trusted to be a request. */
function refused(status: number, message: string): RegistryError {
  return new RegistryError(status, "UNSUPPORTED", message, { headers: { Connection: "close" } });
}

/** `rawHeaders` has names and values in turn. */
function countOf(rawHeaders: readonly string[], name: string): number {
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const one = rawHeaders[at] ?? "";
    if (one.length === name.length && one.toLowerCase() === name) count += 1;
  }
  return count;
}
