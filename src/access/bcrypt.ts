import { extname } from "node:path";
import { Worker } from "node:worker_threads";

/** A thread costs some megabytes; without passwords to look at it ends. */
const IDLE_MS = 30_000;
/** Beside this file, as a source and in the bundle. */
const ENTRY = new URL(`bcrypt-worker${extname(import.meta.url)}`, import.meta.url);

interface Waiting {
  readonly resolve: (isRight: boolean) => void;
  readonly reject: (error: Error) => void;
}

/** Compares passwords with bcrypt hashes in a thread that is there while it is needed. */
export class BcryptVerifier {
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  #nextId = 0;

  async matches(hash: string, password: string): Promise<boolean> {
    clearTimeout(this.#idle);
    this.#worker ??= this.#start();
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    this.#waiting.set(id, { resolve, reject });
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#worker.postMessage({ id, hash, password });
    try {
      return await promise;
    } finally {
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) this.#idle = setTimeout(() => void this.stop(), IDLE_MS).unref();
    }
  }

  /** Ends the thread; whoever still waits is told. */
  async stop(): Promise<void> {
    clearTimeout(this.#idle);
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(ENTRY);
    // The process ends when everything else has.
    worker.unref();
    worker.on("message", ({ id, isRight }: { id: number; isRight: boolean }) =>
      this.#waiting.get(id)?.resolve(isRight),
    );
    const gone = (error: Error) => {
      if (this.#worker === worker) this.#worker = undefined;
      for (const { reject } of this.#waiting.values()) reject(error);
    };
    worker.on("error", gone);
    worker.on("exit", () => gone(new Error("the thread that compares passwords has ended")));
    return worker;
  }
}
