import { type ChildProcess, fork } from "node:child_process";
import type { Socket } from "node:net";
import type { ToFront, ToOwner } from "./messages.ts";

export interface FrontProcessOptions {
  /** From 1 on; one that is started in its place has the same. */
  readonly number: number;
  /** The file that a front runs. */
  readonly entry: string;
  readonly hear: (message: Exclude<ToOwner, { kind: "ready" | "taken" }>, front: FrontProcess) => void;
}

/** Variables that may have the passwords of upstreams, and of proxies on the way to them. */
const SETTINGS = /^(?:REGISTRY_CACHE_.*|https?_proxy)$/i;

/** A front is told what it needs, and asks no upstream. */
function withoutSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !SETTINGS.test(name)));
}

/** A connection that waits for a front to take it. */
export interface Handed {
  readonly socket: Socket;
  /** Which address it came in by. */
  readonly listen: number;
}

/** One running front, as the owner sees it. */
export class FrontProcess {
  readonly number: number;
  /** Resolves when it takes connections; rejects where it ends before. */
  readonly ready: Promise<void>;
  /** Resolves when it is gone, with the connections that it had not taken yet. */
  readonly ended: Promise<readonly Handed[]>;
  readonly #child: ChildProcess;
  /** Handed over, not yet taken: still open here, and lost to nobody when the front dies. */
  readonly #handed = new Map<number, Handed>();
  #nextId = 0;
  #isReady = false;

  constructor({ number, entry, hear }: FrontProcessOptions) {
    this.number = number;
    this.#child = fork(entry, { env: withoutSettings(process.env) });
    const ready = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<readonly Handed[]>();
    this.ready = ready.promise;
    this.ended = ended.promise;
    this.ready.catch(() => undefined);
    this.#child.on("message", (message: ToOwner) => {
      if (message.kind === "taken") this.#taken(message.id);
      else if (message.kind === "ready") {
        this.#isReady = true;
        ready.resolve();
      } else hear(message, this);
    });
    const end = (why: string) => {
      this.#isReady = false;
      ready.reject(new Error(`a front ended before it was ready: ${why}`));
      ended.resolve([...this.#handed.values()]);
      this.#handed.clear();
    };
    this.#child.once("exit", (code, signal) => {
      this.#isReady = false;
      const gone = () => end(String(signal ?? code));
      // Its last words may still be on their way.
      if (this.#child.connected) this.#child.once("disconnect", gone);
      else gone();
    });
    // Not even started: no memory, no processes left.
    this.#child.on("error", (error) => {
      this.#child.kill("SIGKILL");
      end(error.message);
    });
  }

  get isReady(): boolean {
    return this.#isReady && this.#child.connected;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** One that is about to die hears nothing more. */
  send(message: ToFront): void {
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  hand(handed: Handed): void {
    const { socket, listen } = handed;
    const id = this.#nextId++;
    this.#handed.set(id, handed);
    const message: ToFront = { kind: "connection", id, listen };
    // Whatever goes wrong ends the front, and the socket comes back with the others.
    this.#child.send(message, socket, { keepOpen: true }, () => undefined);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** The front has a descriptor of its own by now; ours goes without a word to the client. */
  #taken(id: number): void {
    this.#handed.get(id)?.socket.destroy();
    this.#handed.delete(id);
  }
}
