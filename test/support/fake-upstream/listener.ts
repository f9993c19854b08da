import { once } from "node:events";
import * as http from "node:http";
import * as https from "node:https";
import type { AddressInfo, Socket } from "node:net";

/** Longer than any test: a kept-alive connection never ends in the very moment in which a client uses it again. */
const KEEP_ALIVE_MS = 60_000;

/** One host: a server on a port of its own, which can go away and come back there. */
export class Listener {
  readonly #server: http.Server;
  readonly #sockets = new Set<Socket>();
  #accepted = 0;
  #port = 0;

  constructor(
    onRequest: http.RequestListener,
    onConnections: () => void,
    tls: { readonly cert: string; readonly key: string } | undefined,
  ) {
    const options = { keepAliveTimeout: KEEP_ALIVE_MS };
    this.#server =
      tls === undefined ? http.createServer(options, onRequest) : https.createServer({ ...options, ...tls }, onRequest);
    this.#server.on("connection", (socket: Socket) => {
      this.#accepted += 1;
      this.#sockets.add(socket);
      onConnections();
      socket.once("close", () => {
        this.#sockets.delete(socket);
        onConnections();
      });
      // A client that leaves is no event here; "close" follows.
      socket.on("error", () => {});
    });
  }

  get port(): number {
    return this.#port;
  }

  get connections(): { accepted: number; open: number } {
    return { accepted: this.#accepted, open: this.#sockets.size };
  }

  /** On the same port as before, if there was one. */
  async start(): Promise<void> {
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
