import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { ListenAddress } from "../config/config.ts";
import { badRequestAnswerer } from "./bad-request.ts";
import type { Connections } from "./connections.ts";

/** What a connection may cost before a request is known. */
export interface ListenerLimits {
  /** Request line and all headers. */
  readonly headerBytesMax: number;
  /** For the headers of a request to arrive, against clients that send them slowly. */
  readonly headersTimeoutMs: number;
  /** For a whole request to arrive. */
  readonly requestTimeoutMs: number;
  /** How often the two above are looked at. */
  readonly timeoutCheckMs: number;
  /** A connection without a request. */
  readonly keepAliveMs: number;
  /** A connection on which nothing moves: a client that takes no byte for so long is gone. */
  readonly socketIdleMs: number;
  /** How long a connection stays open after an answer to broken HTTP, so that the client can read it. */
  readonly lingerMs: number;
}

export const LISTENER_LIMITS: ListenerLimits = {
  headerBytesMax: 16 * 1024,
  headersTimeoutMs: 15_000,
  requestTimeoutMs: 30_000,
  timeoutCheckMs: 5_000,
  // Longer than the 60 s of common load balancers.
  keepAliveMs: 75_000,
  socketIdleMs: 5 * 60_000,
  lingerMs: 1_000,
};

export interface Listener {
  /** `host:port` as it really is. */
  readonly address: string;
  /** Stops accepting, lets responses finish for at most `withinMs`, then cuts what is left and says how many those were. */
  stop(withinMs: number): Promise<number>;
}

/** Listens on one address. Rejects with the system's error (EADDRINUSE, EACCES, ...). */
export async function listen(
  address: ListenAddress,
  handle: RequestListener,
  connections: Connections,
  limits: ListenerLimits = LISTENER_LIMITS,
): Promise<Listener> {
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      connectionsCheckingInterval: limits.timeoutCheckMs,
      keepAliveTimeout: limits.keepAliveMs,
      insecureHTTPParser: false,
      noDelay: true,
      // Checked by our own handler, which answers in the specification's form.
      requireHostHeader: false,
    },
    handle,
  );
  // Node drops what is above its limit silently; ours is checked, and the bytes are bounded anyway.
  server.maxHeadersCount = 0;
  server.setTimeout(limits.socketIdleMs);
  server.on("connection", (socket: Socket) => connections.add(socket));
  // A push that waits for leave gets its answer at once instead of "100 Continue" and the body.
  server.on("checkContinue", handle);
  server.on("checkExpectation", handle);
  server.on("clientError", badRequestAnswerer(connections, limits));
  await begun(server, address);
  const { port } = server.address() as AddressInfo;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return { address: `${host}:${port}`, stop: async (withinMs) => await stopped(server, connections, withinMs) };
}

async function begun(server: Server, { host, port }: ListenAddress): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** For what a request that was cut has yet to tidy up. */
const LAST_WORDS_MS = 1_000;

async function stopped(server: Server, connections: Connections, withinMs: number): Promise<number> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  let cut = 0;
  connections.drain();
  const timer = setTimeout(() => (cut = connections.closeAll()), withinMs);
  await closed;
  clearTimeout(timer);
  await connections.quiet(AbortSignal.timeout(LAST_WORDS_MS)).catch(() => undefined);
  return cut;
}
