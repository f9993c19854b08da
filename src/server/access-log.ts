import type { Logger } from "pino";
import { RegistryError } from "../oci/errors.ts";
import type { Exchange } from "./exchange.ts";
import { ProblemError } from "./problem.ts";

const PATH_SHOWN_MAX = 200;
/** Asked every few seconds by whatever watches over us. */
const PROBES: ReadonlySet<string> = new Set(["/healthz", "/readyz"]);

/** Writes the one line a request. Queries, authorization and other headers never get into it. */
export function logRequest(log: Logger, exchange: Exchange, startedAtMs: number, isWhole: boolean): void {
  const { req, res, notes, path } = exchange;
  if (notes.isForwarded === true) return;
  const level = levelOf(exchange);
  if (!log.isLevelEnabled(level)) return;
  const { error, ...known } = notes;
  const line = {
    method: req.method,
    // What was understood says more than the path; only what was not is shown as it came.
    ...(notes.registry === undefined || (error !== undefined && notes.repository === undefined)
      ? { path: masked(path).slice(0, PATH_SHOWN_MAX) }
      : {}),
    ...known,
    // A client that left before it was answered has got no status.
    ...(res.headersSent ? { status: res.statusCode } : {}),
    durationMs: Date.now() - startedAtMs,
    client: exchange.client,
    ...certificateNote(exchange),
    ...(isWhole ? {} : { aborted: true }),
    ...reason(error),
  };
  log[level](isInternal(error) ? { ...line, err: error } : line, "request");
}

function levelOf({ res, notes, path }: Exchange): "error" | "warn" | "info" | "debug" {
  if (isInternal(notes.error)) return "error";
  if (res.statusCode >= 500) return "warn";
  return PROBES.has(path) ? "debug" : "info";
}

/** A secret path that is a little wrong has its secret all the same. */
function masked(path: string): string {
  return path
    .replace(/\/(?:t|%74)\/+(?:[^/]{1,21}\/+)*[^/]{22,}/gi, "/t/********")
    .replace(/\/[A-Za-z0-9_-]{22,}(?=\/+v2)/g, "/********");
}

/** Of a client that was refused, what was wrong with the certificate that it showed. */
function certificateNote({ res, certificateNames, certificateFault: fault }: Exchange): { certificate?: string } {
  if (res.statusCode !== 403) return {};
  if (fault !== undefined) return { certificate: fault };
  return certificateNames.length === 0 ? {} : { certificate: certificateNames.join(" ") };
}

function reason(error: unknown): { error?: string } {
  return isTyped(error) ? { error: error.message } : {};
}

function isTyped(error: unknown): error is RegistryError | ProblemError {
  return error instanceof RegistryError || error instanceof ProblemError;
}

/** Neither told to the client as a typed error nor caused by its leaving. */
function isInternal(error: unknown): boolean {
  return error !== undefined && !isTyped(error) && !(error instanceof ClientGone);
}

/** The reason of a request's signal. */
export class ClientGone extends Error {
  override readonly name = "ClientGone";
}
