import { errors } from "undici";
import { abortedError } from "./aborts.ts";
import { UpstreamError, type UpstreamErrorKind } from "./upstream.ts";

/** A name that resolved to addresses which this registry may not lead to. */
export class PrivateAddressError extends Error {
  override readonly name = "PrivateAddressError";
}

const TIMEOUT_CODES: ReadonlySet<string> = new Set([
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT",
  "ETIMEDOUT",
]);
const PROTOCOL_CODES: ReadonlySet<string> = new Set([
  "UND_ERR_HEADERS_OVERFLOW",
  "UND_ERR_RES_EXCEEDED_MAX_SIZE",
  "UND_ERR_INVALID_ARG",
]);
const CLOSED_CODES: ReadonlySet<string> = new Set(["UND_ERR_CLOSED", "UND_ERR_DESTROYED"]);
const RESET_CODES: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE"]);

/** Turns whatever a transfer can fail with into an `UpstreamError`; `host` is for the message. */
export function faultOf(error: unknown, host: string, signal: AbortSignal): UpstreamError {
  if (error instanceof UpstreamError) return error;
  if (signal.aborted) return abortedError(signal);
  const kind = kindOf(error);
  const code = codeOf(error);
  const reason = code === undefined ? "" : ` (${code})`;
  return new UpstreamError(kind, `${host} ${MESSAGES[kind]}${reason}`, { cause: error });
}

type FaultKind = Extract<UpstreamErrorKind, "aborted" | "protocol" | "timeout" | "unreachable" | "untrusted">;

const MESSAGES: Record<FaultKind, string> = {
  aborted: "is not asked any more",
  protocol: "does not speak proper HTTP",
  timeout: "did not answer in time",
  unreachable: "cannot be reached, or broke off",
  untrusted: "has no public address",
};

function kindOf(error: unknown): FaultKind {
  if (error instanceof PrivateAddressError) return "untrusted";
  if (error instanceof errors.HTTPParserError) return "protocol";
  const code = codeOf(error) ?? "";
  if (TIMEOUT_CODES.has(code)) return "timeout";
  if (PROTOCOL_CODES.has(code)) return "protocol";
  return CLOSED_CODES.has(code) ? "aborted" : "unreachable";
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/**
 * Whether a kept-alive connection was closed by the other side just as we used it again: the request may be sent anew,
 * since GET and HEAD are idempotent (RFC 9110, section 9.2.2). A connection that is known to be new is not meant.
 */
export function isStaleConnection(error: unknown): boolean {
  if (error instanceof errors.SocketError) return (error.socket?.bytesRead ?? 0) > 0;
  return RESET_CODES.has(codeOf(error) ?? "");
}
