import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Changes } from "../lib/wait.ts";
import { ClientGone } from "./access-log.ts";

/** Requests that one connection may have open; clients that pipeline at all send a few. */
const REQUESTS_PER_CONNECTION_MAX = 16;

/** A request that has begun on a connection. */
export class OpenRequest {
  /** True while we are stopping: the answer should say that no other follows on this connection. */
  readonly isLast: boolean;
  readonly #onEnd: (request: OpenRequest) => void;
  #controller: AbortController | undefined;
  #gone: ClientGone | undefined;
  #whenGone: (() => void) | undefined;

  constructor(isLast: boolean, onEnd: (request: OpenRequest) => void) {
    this.isLast = isLast;
    this.#onEnd = onEnd;
  }

  get isGone(): boolean {
    return this.#gone !== undefined;
  }

  /** Ends when the client is gone. Made when it is first asked for: most hits are out before anybody does. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#gone !== undefined) this.#controller.abort(this.#gone);
    return this.#controller.signal;
  }

  /** Calls back when the client leaves, which it must not have done yet; the last call counts. */
  whenGone(callback: () => void): void {
    this.#whenGone = callback;
  }

  /** The client has left. */
  gone(reason: ClientGone): void {
    this.#gone = reason;
    this.#controller?.abort(reason);
    this.#whenGone?.();
  }

  /** Call once, when the response has gone out or was given up. */
  end(): void {
    this.#onEnd(this);
  }
}

/**
 * Knows the open requests of each connection. Node does not close responses that are queued behind a pipelined one when
 * the socket dies, so each request is told by its own signal.
 */
export class Connections {
  readonly #open = new Map<Socket, Set<OpenRequest>>();
  readonly #ending = new WeakSet<Socket>();
  readonly #quiet = new Changes();
  #requestCount = 0;
  #isDraining = false;

  /** The open ones. */
  get sockets(): Socket[] {
    return [...this.#open.keys()];
  }

  get requestCount(): number {
    return this.#requestCount;
  }

  get connectionCount(): number {
    return this.#open.size;
  }

  /** Call once for every new connection. */
  add(socket: Socket): void {
    const requests = new Set<OpenRequest>();
    this.#open.set(socket, requests);
    socket.once("close", () => {
      this.#open.delete(socket);
      for (const request of requests) request.gone(new ClientGone("the connection is closed"));
    });
  }

  /** A new request, or undefined where its connection has too many. */
  begin(socket: Socket): OpenRequest | undefined {
    const requests = this.#open.get(socket) ?? new Set();
    if (requests.size >= REQUESTS_PER_CONNECTION_MAX) return undefined;
    const request = new OpenRequest(this.#isDraining, (ended) => this.#ended(socket, requests, ended));
    requests.add(request);
    if (socket.destroyed) request.gone(new ClientGone("the connection is closed"));
    this.#requestCount += 1;
    return request;
  }

  #ended(socket: Socket, requests: Set<OpenRequest>, ended: OpenRequest): void {
    requests.delete(ended);
    this.#requestCount -= 1;
    if (this.#requestCount === 0) this.#quiet.notify();
    if (requests.size === 0 && (this.#isDraining || this.#ending.has(socket))) socket.destroySoon();
  }

  /** Closes a connection after its last response; false where it has none and may be written to. */
  endAfterResponses(socket: Duplex): boolean {
    if (!(socket instanceof Socket) || (this.#open.get(socket)?.size ?? 0) === 0) return false;
    this.#ending.add(socket);
    return true;
  }

  /**
   * Closes every connection without a request, and each of the others after its last response. Node's own
   * `closeIdleConnections` spares connections that have never sent a request, and they would delay the stop.
   */
  drain(): void {
    this.#isDraining = true;
    for (const [socket, requests] of this.#open) if (requests.size === 0) socket.destroySoon();
  }

  /** Closes every connection, each after the responses that are under way on it: whoever it is has to come in anew. */
  endAll(): void {
    for (const [socket, requests] of this.#open) {
      if (requests.size === 0) socket.destroySoon();
      else this.#ending.add(socket);
    }
  }

  /** Cuts what is left, and says how many requests that were. */
  closeAll(): number {
    for (const socket of this.sockets) socket.destroy();
    return this.#requestCount;
  }

  /** Resolves when all that are open now have been closed. */
  async allClosed(): Promise<void> {
    await Promise.all(
      this.sockets.map(async (socket) => await new Promise((resolve) => socket.once("close", resolve))),
    );
  }

  /** Waits until the last request has ended, with its line in the log; rejects with the signal's reason. */
  async quiet(signal: AbortSignal): Promise<void> {
    while (this.#requestCount > 0) await this.#quiet.next(signal);
  }
}
