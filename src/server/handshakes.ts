import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";

/**
 * The connections on which TLS is being agreed on. Node tells of the two sockets of such a connection, the raw one and the
 * one with TLS, without saying which belong together; the client's address does.
 */
export class Handshakes {
  readonly #raw = new Map<string, Socket>();
  readonly #done = new WeakSet<Socket>();

  /** Call once for every new connection. */
  begin(raw: Socket): void {
    const client = clientOf(raw);
    if (client === undefined) {
      // Reset before anybody looked at it.
      raw.destroy();
      return;
    }
    this.#raw.set(client, raw);
    raw.once("close", () => {
      if (this.#raw.get(client) === raw) this.#raw.delete(client);
    });
  }

  /** From here on it is the socket with TLS that counts. */
  succeed(socket: TLSSocket): void {
    this.#done.add(socket);
    this.#take(socket);
  }

  hasSucceeded(socket: TLSSocket): boolean {
    return this.#done.has(socket);
  }

  /** Gives the raw socket, which can be written to for as long as it is open. */
  fail(socket: TLSSocket): Socket | undefined {
    return this.#take(socket);
  }

  /** Cuts all that are under way: no request is known on them. */
  cut(): void {
    for (const raw of this.#raw.values()) raw.destroy();
  }

  #take(socket: TLSSocket): Socket | undefined {
    const client = clientOf(socket);
    if (client === undefined) return undefined;
    const raw = this.#raw.get(client);
    this.#raw.delete(client);
    return raw;
  }
}

/** Unique among the open connections of a listener; a socket that is closed no longer knows. */
function clientOf({ remoteAddress, remotePort }: Socket): string | undefined {
  return remoteAddress === undefined || remotePort === undefined ? undefined : `${remoteAddress} ${remotePort}`;
}
