import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Logger } from "pino";
import type { Access } from "../access/access.ts";
import { RegistryError } from "../oci/errors.ts";
import { logRequest } from "./access-log.ts";
import { assertHeaders, assertNoBody } from "./assert-request.ts";
import { certificateFault, certificateNames } from "./client-certificate.ts";
import type { Connections, OpenRequest } from "./connections.ts";
import { Exchange } from "./exchange.ts";
import { factsOf, type OnRequest } from "./request-facts.ts";
import type { Proxies } from "./proxies.ts";
import { sendError } from "./respond.ts";
import type { Seen } from "./seen.ts";
import { NO_TARGET, parseTarget } from "./target.ts";

/** Answers the request and says true, or says false, at once where it can, where the path is not its own. */
export type Handler = (exchange: Exchange) => Promise<boolean> | false;

/** Whose requests come in. */
export interface Callers {
  of(req: IncomingMessage): Pick<Exchange, "access" | "client" | "isSecure" | "certificateNames" | "certificateFault">;
  /** Refuses what must not be believed, with a `RegistryError`. */
  assert(req: IncomingMessage): void;
}

/** Whoever has made the connection, or is behind a proxy that is trusted. */
export function strangers(proxies: Proxies, access: Access): Callers {
  return {
    of: (req) => ({
      access,
      client: proxies.clientOf(req),
      isSecure: proxies.isSecure(req),
      certificateNames: certificateNames(req.socket),
      certificateFault: certificateFault(req.socket),
    }),
    assert: assertHeaders,
  };
}

/** Hear of each request that is over. */
export interface Hearers {
  readonly seen?: Pick<Seen, "note"> | undefined;
  /** Not of those that another process has answered. */
  readonly onRequest?: OnRequest | undefined;
}

/** Tries the handlers in order; every error and every log line of a request passes here. */
export function requestListener(
  handlers: readonly Handler[],
  connections: Connections,
  log: Logger,
  callers: Callers,
  { seen, onRequest }: Hearers = {},
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
      const beganMs = performance.now();
      const exchange = await serve(handlers, req, res, callers, request);
      const isWhole = await finished(res, request);
      logRequest(log, exchange, startedAtMs, isWhole);
      seen?.note(exchange);
      if (exchange.notes.isForwarded !== true)
        onRequest?.(factsOf(exchange, { atMs: startedAtMs, beganMs, isWhole }), exchange);
      request.end();
    })();
  };
}

async function serve(
  handlers: readonly Handler[],
  req: IncomingMessage,
  res: ServerResponse,
  callers: Callers,
  request: OpenRequest,
): Promise<Exchange> {
  const from = { req, res, request, ...callers.of(req) };
  let exchange: Exchange | undefined;
  try {
    callers.assert(req);
    exchange = new Exchange(from, parseTarget(req.url ?? ""));
    assertNoBody(req);
    for (const handle of handlers) {
      const answered = handle(exchange);
      if (answered !== false && (await answered)) return exchange;
    }
    throw new RegistryError(404, "NAME_UNKNOWN", "nothing is served under this path; the registry API is under /v2/");
  } catch (error) {
    exchange ??= new Exchange(from, NO_TARGET);
    sendError(exchange, error);
    return exchange;
  }
}

/** Waits until the response has gone out; false where the client left before. */
async function finished(res: ServerResponse, request: OpenRequest): Promise<boolean> {
  if (res.writableFinished) return true;
  if (res.destroyed || request.isGone) return false;
  await new Promise<void>((resolve) => {
    // Comes after "finish" too.
    res.once("close", resolve);
    request.whenGone(resolve);
  });
  return res.writableFinished;
}
