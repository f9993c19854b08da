import type { Socket } from "node:net";
import { ClientGone } from "./access-log.ts";

/** Requests that one connection may have open; clients that pipeline at all send a few. */
const REQUESTS_PER_CONNECTION_MAX = 16;

/**
 * Knows the open requests of each connection. Node does not close responses that are queued behind a pipelined one when
 * the socket dies, so each request is told by its own signal.
 */
export class Connections {
  readonly #open = new Map<Socket, Set<AbortController>>();

  get count(): number {
    return this.#open.size;
  }

  /** Call once for every new connection. */
  add(socket: Socket): void {
    const requests = new Set<AbortController>();
    this.#open.set(socket, requests);
    socket.once("close", () => {
      this.#open.delete(socket);
      for (const request of requests) request.abort(new ClientGone("the connection is closed"));
    });
  }

  /** The signal of a new request, or undefined where its connection has too many. */
  begin(socket: Socket): { signal: AbortSignal; end: () => void } | undefined {
    const requests = this.#open.get(socket) ?? new Set();
    if (requests.size >= REQUESTS_PER_CONNECTION_MAX) return undefined;
    const controller = new AbortController();
    requests.add(controller);
    if (socket.destroyed) controller.abort(new ClientGone("the connection is closed"));
    return { signal: controller.signal, end: () => void requests.delete(controller) };
  }
}
