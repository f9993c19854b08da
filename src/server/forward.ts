import { Agent, type IncomingMessage, request, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Access } from "../access/access.ts";
import { RegistryError } from "../oci/errors.ts";
import type { Exchange } from "./exchange.ts";
import { API_BODY, bodyOf } from "./body.ts";
import { readForm } from "./form.ts";
import {
  CERTIFICATE_HEADER,
  CLIENT_HEADER,
  FAULT_HEADER,
  FRONT_HEADERS,
  LISTEN_HEADER,
  RIGHT_HEADER,
  SECURE_HEADER,
} from "./front-headers.ts";
import { TOKEN_PATH } from "./guard.ts";
import type { Handler } from "./handler.ts";
import { tracedHeaders } from "./request-span.ts";
import { isOfApi } from "./problem.ts";

/** Connections to the owner that are kept for the next request. */
const FREE_SOCKETS_MAX = 64;
/** Shorter than the owner keeps a connection without a request, or a request could meet its end. */
const FREE_SOCKET_MS = 30_000;

/** About one connection only (RFC 9110, section 7.6.1), or about a body, of which what is forwarded says what it has. */
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
  ...FRONT_HEADERS,
]);

/**
 * Hands requests on to the owner, which can answer everything, and its answers back as they are. `onRight` hears of
 * Authorization headers, which are secrets, that the owner has found right.
 */
export function forwardTo(
  socketPath: string,
  accesses: readonly Access[],
  onRight: (authorization: string | undefined) => void,
): { readonly handle: Handler; close(): void } {
  const agent = new Agent({ keepAlive: true, maxFreeSockets: FREE_SOCKETS_MAX, timeout: FREE_SOCKET_MS });
  const owner = { socketPath, agent, accesses };
  return {
    handle: async (exchange) => {
      // Whole before anything is sent: the owner could not say what is wrong with it to somebody who is still sending.
      const body = await bodyToSend(exchange);
      const answer = await asked(exchange, body, owner);
      if (answer.headers[RIGHT_HEADER] !== undefined) onRight(exchange.req.headers.authorization);
      await answered(exchange, answer);
      return true;
    },
    close: () => agent.destroy(),
  };
}

interface Owner {
  readonly socketPath: string;
  readonly agent: Agent;
  /** By the position of the address, which the owner is told. */
  readonly accesses: readonly Access[];
}

/** A connection that had been kept may have ended meanwhile: such a request never arrived, and is sent again. */
async function asked(exchange: Exchange, body: Buffer | undefined, owner: Owner): Promise<IncomingMessage> {
  const giveUpAtMs = performance.now() + QUEUE_WAIT_MS;
  for (;;) {
    try {
      return await askedOnce(exchange, body, owner);
    } catch (error) {
      exchange.signal.throwIfAborted();
      exchange.notes.isForwarded = false;
      if (error instanceof StaleConnection) continue;
      if (isQueueFull(error) && performance.now() < giveUpAtMs) {
        await sleep(QUEUE_PAUSE_MS, undefined, { signal: exchange.signal });
        continue;
      }
      throw new RegistryError(503, "UNAVAILABLE", "this part of the cache is being started; ask again", {
        cause: error,
        retryAfterS: 1,
      });
    }
  }
}

/** How long a full queue of the owner's is waited for: it is there, and busy. */
const QUEUE_WAIT_MS = 10_000;
const QUEUE_PAUSE_MS = 20;

/** A local socket refuses at once what its queue has no place for (connect(2)). */
function isQueueFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EAGAIN";
}

class StaleConnection extends Error {
  override readonly name = "StaleConnection";
}

async function askedOnce(
  exchange: Exchange,
  body: Buffer | undefined,
  { socketPath, agent, accesses }: Owner,
): Promise<IncomingMessage> {
  const { req, signal } = exchange;
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const asking = request({
    socketPath,
    agent,
    signal,
    method: req.method,
    path: req.url,
    headers: [
      ...tracedHeaders(kept(req.rawHeaders)),
      ...toldOf(exchange, accesses.indexOf(exchange.access)),
      ...lengthOf(body, req.method),
    ],
  });
  // From here on the owner writes the request's line, also where nobody waits for the answer any more.
  const isHeard = () => (exchange.notes.isForwarded = true);
  asking.once("socket", (socket) => (socket.connecting ? socket.once("connect", isHeard) : isHeard()));
  asking.once("response", resolve);
  asking.once("error", (error) => reject(asking.reusedSocket ? new StaleConnection(error.message) : error));
  asking.end(body);
  return await promise;
}

/** Of those requests whose body is wanted, it; nobody acts by the API who says nothing of who it is. */
async function bodyToSend({ req, path, certificateNames }: Exchange): Promise<Buffer | undefined> {
  if (req.method === "GET" || req.method === "HEAD") return undefined;
  if (req.method === "POST" && path === TOKEN_PATH) return await readForm(req);
  const isNamed = req.headers.authorization !== undefined || certificateNames.length > 0;
  return isOfApi(path) && isNamed ? await bodyOf(req, API_BODY) : undefined;
}

/** What the owner cannot see itself. */
function toldOf({ client, isSecure, certificateNames, certificateFault }: Exchange, listen: number): string[] {
  const names = certificateNames.length === 0 ? [] : [CERTIFICATE_HEADER, certificateNames.join(" ")];
  const fault = certificateFault === undefined ? [] : [FAULT_HEADER, certificateFault];
  return [
    CLIENT_HEADER,
    client ?? "",
    LISTEN_HEADER,
    String(listen),
    ...(isSecure ? [SECURE_HEADER, "1"] : []),
    ...names,
    ...fault,
  ];
}

/** A push is refused whatever it sends: its body stays where it is. */
function lengthOf(body: Buffer | undefined, method: string | undefined): string[] {
  if (body !== undefined) return ["Content-Length", String(body.length)];
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
