import { Agent, type IncomingMessage, request, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { RegistryError } from "../oci/errors.ts";
import type { Exchange } from "./exchange.ts";
import type { Handler } from "./handler.ts";

/** Tells the owner who is asking; only its local socket believes it. */
export const CLIENT_HEADER = "x-registry-cache-client";

/** Connections to the owner that are kept for the next request. */
const FREE_SOCKETS_MAX = 64;
/** Shorter than the owner keeps a connection without a request, or a request could meet its end. */
const FREE_SOCKET_MS = 30_000;

/** About one connection only (RFC 9110, section 7.6.1), or about a body, which nothing that is forwarded has. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  CLIENT_HEADER,
]);

/** Hands requests on to the owner, which can answer everything, and its answers back as they are. */
export function forwardTo(socketPath: string): { readonly handle: Handler; close(): void } {
  const agent = new Agent({ keepAlive: true, maxFreeSockets: FREE_SOCKETS_MAX, timeout: FREE_SOCKET_MS });
  return {
    handle: async (exchange) => {
      const answer = await asked(exchange, socketPath, agent);
      exchange.notes.isForwarded = true;
      await answered(exchange, answer);
      return true;
    },
    close: () => agent.destroy(),
  };
}

/** A connection that had been kept may have ended meanwhile: such a request never arrived, and is sent again. */
async function asked(exchange: Exchange, socketPath: string, agent: Agent): Promise<IncomingMessage> {
  for (;;) {
    try {
      return await askedOnce(exchange, socketPath, agent);
    } catch (error) {
      exchange.signal.throwIfAborted();
      if (error instanceof StaleConnection) continue;
      throw new RegistryError(503, "UNAVAILABLE", "this part of the cache is being started; ask again", {
        cause: error,
        retryAfterS: 1,
      });
    }
  }
}

class StaleConnection extends Error {
  override readonly name = "StaleConnection";
}

async function askedOnce(exchange: Exchange, socketPath: string, agent: Agent): Promise<IncomingMessage> {
  const { req, signal } = exchange;
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const asking = request({
    socketPath,
    agent,
    signal,
    method: req.method,
    path: req.url,
    headers: [...kept(req.rawHeaders), CLIENT_HEADER, exchange.client ?? "", ...lengthOfNothing(req.method)],
  });
  asking.once("response", resolve);
  asking.once("error", (error) => reject(asking.reusedSocket ? new StaleConnection(error.message) : error));
  asking.end();
  return await promise;
}

/** A push is refused whatever it sends: its body stays where it is. */
function lengthOfNothing(method: string | undefined): string[] {
  return method === "GET" || method === "HEAD" ? [] : ["Content-Length", "0"];
}

async function answered({ req, res, isHead, signal }: Exchange, answer: IncomingMessage): Promise<void> {
  const headers = kept(answer.rawHeaders, "content-length");
  // The owner would read no further request behind a body that nobody has taken.
  if (req.method !== "GET" && !isHead) headers.push("Connection", "close");
  res.writeHead(answer.statusCode ?? 502, headers);
  await (isHead ? ended(answer, res) : pipeline(answer, res, { signal }));
}

async function ended(answer: IncomingMessage, res: ServerResponse): Promise<void> {
  answer.resume();
  res.end();
}

/** Names and values in turn, as Node gives and takes them. */
function kept(rawHeaders: readonly string[], also?: string): string[] {
  const headers: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = [rawHeaders[at], rawHeaders[at + 1]];
    const lower = name.toLowerCase();
    if (lower === also || !OWN_HEADERS.has(lower)) headers.push(name, value);
  }
  return headers;
}
