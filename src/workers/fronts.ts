import cluster, { type Worker } from "node:cluster";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Use } from "../catalog/catalog.ts";
import { orAborted, within } from "../lib/wait.ts";
import type { Digest } from "../oci/digest.ts";
import type { Repository, Tag } from "../oci/reference.ts";
import type { TagState } from "../pull/held.ts";
import { errorOf, type FrontSetup, type TagNews, type ToFront, type ToOwner } from "./messages.ts";

/** A front that lived for less is not started again at once. */
const SHORT_LIFE_MS = 10_000;
const RESTART_PAUSE_MS = 1_000;
const RESTART_PAUSE_MS_MAX = 30_000;
/** Beyond the time that responses get at a stop, for a front to end by itself. */
const LAST_WORDS_MS = 2_000;

/** What fronts ask of the owner's pull room. */
export interface OwnerSide {
  tagState(repository: Repository, tag: Tag): Promise<TagState | undefined>;
  note(uses: readonly Use[]): void;
  doubt(digest: Digest): Promise<void>;
}

export interface FrontsOptions {
  readonly count: number;
  /** The file that a front runs. */
  readonly entry: string;
  readonly setup: FrontSetup;
  readonly owner: OwnerSide;
  readonly log: Logger;
}

/**
 * The processes that answer clients where there is more than one: each is started anew when it dies. Node's cluster accepts
 * connections here and hands them out in turn.
 */
export class Fronts {
  readonly #o: FrontsOptions;
  readonly #life = new AbortController();
  readonly #keepers: Promise<void>[] = [];
  readonly #running = new Set<Worker>();
  #cutRequests = 0;

  constructor(options: FrontsOptions) {
    this.#o = options;
  }

  /** Resolves with the addresses when all of them listen; rejects with the system's error. */
  async start(): Promise<readonly string[]> {
    cluster.setupPrimary({ exec: this.#o.entry, args: [] });
    cluster.schedulingPolicy = cluster.SCHED_RR;
    const first = Array.from({ length: this.#o.count }, (_, index) => this.#begin(index));
    const addresses = await Promise.all(first);
    return addresses[0] ?? [];
  }

  /** Tells those who follow it where a tag points now. */
  tell(news: TagNews): void {
    for (const worker of this.#running) send(worker, { kind: "tag", ...news });
  }

  /** Process ids, for those who measure. */
  get pids(): readonly number[] {
    return [...this.#running].flatMap(({ process }) => process.pid ?? []);
  }

  /** Lets responses finish within the configured time; says how many were cut. */
  async stop(): Promise<number> {
    this.#life.abort(new Error("the cache is stopping"));
    for (const worker of this.#running) send(worker, { kind: "stop" });
    const all = Promise.all(this.#keepers);
    await within(all, this.#o.setup.config.stopTimeoutMs + LAST_WORDS_MS);
    for (const worker of this.#running) worker.process.kill("SIGKILL");
    await all;
    return this.#cutRequests;
  }

  #begin(index: number): Promise<readonly string[]> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
    this.#keepers.push(this.#keep(index, { resolve, reject }));
    return promise;
  }

  /** One front after the other, until the stop. A first one that cannot listen is no reason to try again. */
  async #keep(index: number, first: { resolve(addresses: readonly string[]): void; reject(error: Error): void }) {
    for (let pauseMs = RESTART_PAUSE_MS; !this.#life.signal.aborted;) {
      const startedAtMs = performance.now();
      const failure = await this.#runOne((addresses) => first.resolve(addresses));
      if (this.#life.signal.aborted) break;
      if (failure !== undefined) {
        first.reject(failure);
        return;
      }
      this.#o.log.error({ front: index }, "a front has died and is started anew");
      const wasShort = performance.now() - startedAtMs < SHORT_LIFE_MS;
      pauseMs = wasShort ? Math.min(2 * pauseMs, RESTART_PAUSE_MS_MAX) : RESTART_PAUSE_MS;
      if (wasShort) await orAborted(sleep(pauseMs), this.#life.signal).catch(() => undefined);
    }
    first.reject(new Error("the cache is stopping"));
  }

  /** Resolves when it has ended: with an error where it could not listen. */
  async #runOne(onListening: (addresses: readonly string[]) => void): Promise<Error | undefined> {
    const worker = cluster.fork();
    this.#running.add(worker);
    let failure: Error | undefined;
    worker.on("message", (message: ToOwner) => {
      if (message.kind === "listening") onListening(message.addresses);
      else if (message.kind === "failed") failure = errorOf(message.error);
      else this.#hear(worker, message);
    });
    await new Promise<void>((resolve) => {
      worker.once("exit", () => resolve());
      // Not even started: no memory, no processes left.
      worker.once("error", (error) => {
        failure ??= error;
        resolve();
      });
    });
    this.#running.delete(worker);
    return failure;
  }

  #hear(worker: Worker, message: Exclude<ToOwner, { kind: "listening" | "failed" }>): void {
    const { owner, log, setup } = this.#o;
    switch (message.kind) {
      case "awake":
        send(worker, { kind: "setup", ...setup });
        if (this.#life.signal.aborted) send(worker, { kind: "stop" });
        return;
      case "follow": {
        const { repository, tag } = message;
        owner.tagState(repository, tag).then(
          (state) => state && send(worker, { kind: "tag", repository, tag, state }),
          (error: unknown) => log.error({ err: error }, "a tag could not be told to a front"),
        );
        return;
      }
      case "used":
        owner.note(message.uses);
        return;
      case "damaged":
        owner.doubt(message.digest).catch((error: unknown) => log.error({ err: error }, "a blob could not be hashed"));
        return;
      case "stopped":
        this.#cutRequests += message.cutRequests;
    }
  }
}

/** One that is about to die hears nothing more. */
function send(worker: Worker, message: ToFront): void {
  if (worker.isConnected()) worker.send(message, undefined, () => undefined);
}
