import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { ListenAddress } from "../config/config.ts";
import { RegistryError } from "../oci/errors.ts";
import type { Connections } from "./connections.ts";

/** Request line and all headers. */
const HEADER_BYTES_MAX = 16 * 1024;
const HEADERS_MAX = 100;
/** For the headers of a request to arrive, against clients that send them slowly. */
const HEADERS_TIMEOUT_MS = 15_000;
const REQUEST_TIMEOUT_MS = 30_000;
const TIMEOUT_CHECK_MS = 5_000;
/** A connection without a request. Longer than the 60 s of common load balancers. */
const KEEP_ALIVE_MS = 75_000;
/** A connection on which nothing moves: a client that takes no byte for so long is gone. */
const SOCKET_IDLE_MS = 5 * 60_000;

export interface Listener {
  /** `host:port` as it really is. */
  readonly address: string;
  /** Stops accepting, lets responses finish for at most `withinMs`, then closes what is left. */
  stop(withinMs: number): Promise<void>;
}

/** Listens on one address. Rejects with the system's error (EADDRINUSE, EACCES, ...). */
export async function listen(address: ListenAddress, handle: RequestListener, connections: Connections): Promise<Listener> {
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      insecureHTTPParser: false,
      noDelay: true,
    },
    handle,
  );
  server.maxHeadersCount = HEADERS_MAX;
  server.setTimeout(SOCKET_IDLE_MS);
  server.on("connection", (socket: Socket) => connections.add(socket));
  // A push that waits for leave gets its answer at once instead of "100 Continue" and the body.
  server.on("checkContinue", handle);
  server.on("clientError", answerBadRequest);
  await begun(server, address);
  const { port } = server.address() as AddressInfo;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return { address: `${host}:${port}`, stop: async (withinMs) => await stopped(server, withinMs) };
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

async function stopped(server: Server, withinMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), withinMs);
  // Connections become idle one by one as their last response ends.
  const sweep = setInterval(() => server.closeIdleConnections(), IDLE_SWEEP_MS);
  await closed;
  clearTimeout(timer);
  clearInterval(sweep);
}

const IDLE_SWEEP_MS = 100;

/** What Node's parser refuses never reaches a handler; it gets an answer of the specification's form all the same. */
function answerBadRequest(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, reason, told } = describe(error.code);
  const body = JSON.stringify(told.toJSON());
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function describe(code: string | undefined): { status: number; reason: string; told: RegistryError } {
  const bad = (status: number, reason: string, message: string) => ({
    status,
    reason,
    told: new RegistryError(status, "UNSUPPORTED", message),
  });
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return bad(431, "Request Header Fields Too Large", `the headers are longer than ${HEADER_BYTES_MAX} bytes`);
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return bad(408, "Request Timeout", "the request did not arrive in time");
    default:
      return bad(400, "Bad Request", "the request is not valid HTTP");
  }
}
