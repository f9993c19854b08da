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

/** A thread, and those who wait for it. */
interface Running {
  readonly worker: Worker;
  readonly waiting: Map<number, Waiting>;
}

/** Compares passwords with bcrypt hashes in a thread that is there while it is needed. */
export class BcryptVerifier {
  #running: Running | undefined;
  #idle: NodeJS.Timeout | undefined;
  #nextId = 0;

  async matches(hash: string, password: string): Promise<boolean> {
    clearTimeout(this.#idle);
    this.#running ??= this.#start();
    const { worker, waiting } = this.#running;
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    waiting.set(id, { resolve, reject });
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    worker.postMessage({ id, hash, password });
    try {
      return await promise;
    } finally {
      waiting.delete(id);
      if (waiting.size === 0) this.#idle = setTimeout(() => void this.stop(), IDLE_MS).unref();
    }
  }

  /** Ends the thread; whoever still waits for it is told. */
  async stop(): Promise<void> {
    clearTimeout(this.#idle);
    const running = this.#running;
    this.#running = undefined;
    await running?.worker.terminate();
  }

  #start(): Running {
    const running: Running = { worker: new Worker(ENTRY), waiting: new Map() };
    const { worker, waiting } = running;
    // The process ends when everything else has.
    worker.unref();
    worker.on("message", ({ id, isRight }: { id: number; isRight: boolean }) => waiting.get(id)?.resolve(isRight));
    const gone = (error: Error) => {
      if (this.#running === running) this.#running = undefined;
      for (const { reject } of waiting.values()) reject(error);
    };
    worker.on("error", gone);
    worker.on("exit", () => gone(new Error("the thread that compares passwords has ended")));
    return running;
  }
}
