import type { Logger } from "pino";
import { RegistryError } from "../oci/errors.ts";
import type { Exchange } from "./exchange.ts";

const PATH_SHOWN_MAX = 200;
/** Asked every few seconds by whatever watches over us. */
const PROBES: ReadonlySet<string> = new Set(["/healthz", "/readyz"]);

/** Writes the one line a request. Queries, authorization and other headers never get into it. */
export function logRequest(log: Logger, exchange: Exchange, startedAtMs: number, isWhole: boolean): void {
  const { req, res, notes, path } = exchange;
  if (notes.isForwarded === true) return;
  const { error, ...known } = notes;
  const line = {
    method: req.method,
    // What was understood says more than the path; only what was not is shown as it came.
    ...(notes.registry === undefined || (error !== undefined && notes.repository === undefined)
      ? { path: path.slice(0, PATH_SHOWN_MAX) }
      : {}),
    ...known,
    // A client that left before it was answered has got no status.
    ...(res.headersSent ? { status: res.statusCode } : {}),
    durationMs: Date.now() - startedAtMs,
    client: exchange.client,
    ...(isWhole ? {} : { aborted: true }),
    ...reason(error),
  };
  if (isInternal(error)) log.error({ ...line, err: error }, "request");
  else if (res.statusCode >= 500) log.warn(line, "request");
  else if (PROBES.has(path)) log.debug(line, "request");
  else log.info(line, "request");
}

function reason(error: unknown): { error?: string } {
  return error instanceof RegistryError ? { error: error.message } : {};
}

/** Neither told to the client as a typed error nor caused by its leaving. */
function isInternal(error: unknown): boolean {
  return error !== undefined && !(error instanceof RegistryError) && !(error instanceof ClientGone);
}

/** The reason of a request's signal. */
export class ClientGone extends Error {
  override readonly name = "ClientGone";
}
