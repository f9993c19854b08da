import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Logger } from "pino";
import { RegistryError } from "../oci/errors.ts";
import { logRequest } from "./access-log.ts";
import { assertHeaders, assertNoBody } from "./assert-request.ts";
import type { Connections } from "./connections.ts";
import type { Exchange } from "./exchange.ts";
import { sendError } from "./respond.ts";
import { parseTarget, type Target } from "./target.ts";

/** Answers the request and says true, or says false where the path is not its own. */
export type Handler = (exchange: Exchange) => Promise<boolean>;

/** Whose requests come in. */
export interface Callers {
  /** Who is asking: an address, for the log. */
  clientOf(req: IncomingMessage): string | undefined;
  /** Refuses what must not be believed, with a `RegistryError`. */
  assert(req: IncomingMessage): void;
}

/** Whoever has made the connection. */
const STRANGERS: Callers = { clientOf: ({ socket }) => socket.remoteAddress, assert: assertHeaders };

/** Tries the handlers in order; every error and every log line of a request passes here. */
export function requestListener(
  handlers: readonly Handler[],
  connections: Connections,
  log: Logger,
  callers: Callers = STRANGERS,
): RequestListener {
  return (req, res) => {
    const request = connections.begin(req.socket);
    if (request === undefined) {
      req.socket.destroy();
      return;
    }
    if (request.isLast) res.shouldKeepAlive = false;
    res.once("error", (error) => log.debug({ err: error }, "response"));
    void (async () => {
      const startedAtMs = Date.now();
      const exchange = await serve(handlers, req, res, callers, request.signal);
      const isWhole = await finished(res, request.signal);
      logRequest(log, exchange, startedAtMs, isWhole);
      request.end();
    })();
  };
}

async function serve(
  handlers: readonly Handler[],
  req: IncomingMessage,
  res: ServerResponse,
  callers: Callers,
  signal: AbortSignal,
): Promise<Exchange> {
  const from = { client: callers.clientOf(req), signal };
  let exchange = exchangeOf(req, res, from, { path: "", query: new URLSearchParams() });
  try {
    callers.assert(req);
    exchange = exchangeOf(req, res, from, parseTarget(req.url ?? ""));
    assertNoBody(req);
    for (const handle of handlers) if (await handle(exchange)) return exchange;
    throw new RegistryError(404, "NAME_UNKNOWN", "nothing is served under this path; the registry API is under /v2/");
  } catch (error) {
    sendError(exchange, error);
    return exchange;
  }
}

function exchangeOf(
  req: IncomingMessage,
  res: ServerResponse,
  from: Pick<Exchange, "client" | "signal">,
  target: Target,
): Exchange {
  return { req, res, ...from, isHead: req.method === "HEAD", ...target, notes: { bytes: 0 } };
}

/** Waits until the response has gone out; false where the client left before. */
async function finished(res: ServerResponse, signal: AbortSignal): Promise<boolean> {
  if (res.writableFinished) return true;
  if (res.destroyed || signal.aborted) return false;
  return await new Promise((resolve) => {
    const settle = () => {
      signal.removeEventListener("abort", settle);
      resolve(res.writableFinished);
    };
    res.once("close", settle).once("finish", settle);
    signal.addEventListener("abort", settle);
  });
}
