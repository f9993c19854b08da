import type { Socket } from "node:net";
import { type ClientHello, HELLO_BYTES_MAX, readClientHello } from "./client-hello.ts";

/** For a client to say what it wants; whoever is slower is served as usual, and has the usual time for it. */
const LOOK_MS = 5_000;
/** A hello is one or two of them. */
const PIECES_MAX = 64;

/** Reads what clients say first, and gives it back to their sockets, so that nobody after it sees a difference. */
export class FirstLook {
  readonly #lookMs: number;
  readonly #looking = new Set<Socket>();

  constructor(lookMs = LOOK_MS) {
    this.#lookMs = lookMs;
  }

  /** Calls back once, with an unread socket; with no hello where there is none. A client that leaves first is forgotten. */
  look(socket: Socket, done: (hello: ClientHello | undefined) => void): void {
    let bytes: Buffer = Buffer.alloc(0);
    let pieces = 0;
    this.#looking.add(socket);
    const end = () => {
      clearTimeout(timer);
      socket.off("data", hear).off("end", leave).off("close", end);
      this.#looking.delete(socket);
    };
    const leave = () => {
      end();
      socket.destroy();
    };
    const finish = (hello: ClientHello | undefined) => {
      end();
      if (socket.destroyed) return;
      socket.pause();
      if (bytes.length > 0) socket.unshift(bytes);
      done(hello);
    };
    const hear = (piece: Buffer) => {
      bytes = Buffer.concat([bytes, piece]);
      pieces += 1;
      const read = readClientHello(bytes);
      if (typeof read !== "string") finish(read);
      else if (read === "other" || bytes.length > HELLO_BYTES_MAX || pieces >= PIECES_MAX) finish(undefined);
    };
    const timer = setTimeout(() => finish(undefined), this.#lookMs).unref();
    socket.on("data", hear).once("end", leave).once("close", end);
    // It may have been accepted without being read.
    socket.resume();
  }

  /** Cuts those that are being looked at. */
  cut(): void {
    for (const socket of this.#looking) socket.destroy();
  }
}
