import type { Logger } from "pino";
import type { Catalog } from "../catalog/catalog.ts";
import type { Release } from "../lib/keyed-locks.ts";
import type { Store } from "../store/store.ts";
import { reindex, type ReindexReport } from "./reindex.ts";

export interface ReindexingOptions {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly registries: readonly { readonly id: string; readonly serves: string }[];
  /** Keeps whoever evicts out of a repository, by its path, and nobody else. */
  readonly hold: (path: string) => Promise<Release>;
  /** Settles when the catalog is not being rebuilt already. */
  readonly catalogComplete: () => Promise<unknown>;
  readonly log: Pick<Logger, "error" | "info" | "warn">;
}

/** How far a rebuild of the catalog is. */
export interface ReindexState {
  readonly isRunning: boolean;
  /** That were read until now. */
  readonly repositories: number;
  /** Of the last one that came to its end. */
  readonly report: ReindexReport | undefined;
  /** Why the last one did not. */
  readonly failure: string | undefined;
}

/** Rebuilds the catalog beside the pulls when somebody asks for it. */
export class Reindexing {
  readonly #o: ReindexingOptions;
  readonly #stopping = new AbortController();
  #run: Promise<void> | undefined;
  #repositories = 0;
  #report: ReindexReport | undefined;
  #failure: string | undefined;

  constructor(options: ReindexingOptions) {
    this.#o = options;
  }

  state(): ReindexState {
    const isRunning = this.#run !== undefined;
    return { isRunning, repositories: this.#repositories, report: this.#report, failure: this.#failure };
  }

  /** False where one is under way. */
  start(): boolean {
    if (this.#run !== undefined || this.#stopping.signal.aborted) return false;
    this.#repositories = 0;
    this.#report = undefined;
    this.#failure = undefined;
    this.#run = this.#rebuilt().finally(() => (this.#run = undefined));
    return true;
  }

  async idle(): Promise<void> {
    await this.#run;
  }

  /** What was rebuilt until then stays; the next start does the rest. */
  async close(): Promise<void> {
    this.#stopping.abort(new Error("the cache is stopping"));
    await this.idle();
  }

  async #rebuilt(): Promise<void> {
    const { store, catalog, registries, hold, catalogComplete, log } = this.#o;
    const { signal } = this.#stopping;
    try {
      await catalogComplete();
      signal.throwIfAborted();
      const beside = { hold, onRepository: () => void (this.#repositories += 1) };
      this.#report = await reindex(store, catalog, registries, log, signal, beside);
      log.info({ ...this.#report, problems: this.#report.problemCount }, "the catalog was rebuilt from the store");
    } catch (error) {
      this.#failure = error instanceof Error ? error.message : String(error);
      if (!signal.aborted) log.error({ err: error }, "the catalog could not be rebuilt");
    }
  }
}
