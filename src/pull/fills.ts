import type { Logger } from "pino";
import type { Digest } from "../oci/digest.ts";
import { type Repository, repositoryPath } from "../oci/reference.ts";
import type { Store } from "../store/store.ts";
import { UpstreamError } from "../upstream/upstream.ts";
import { Changes } from "../lib/wait.ts";
import { Fill } from "./fill.ts";
import type { Held } from "./held.ts";
import { type PullRegistries, registryOf } from "./registries.ts";
import type { OpenUpstream } from "./transfer.ts";

/** Fills that wait for a place; one more is refused with 503. */
const QUEUE_MAX = 1_000;
/** The longest that a fill waits for a place. */
const QUEUE_WAIT_MS = 60_000;

export interface FillsOptions {
  readonly store: Store;
  readonly held: Held;
  readonly registries: PullRegistries;
  /** Transfers at once; the others wait. */
  readonly fillsMax: number;
  readonly log: Logger;
}

interface Entry {
  readonly fill: Fill;
  /** Whose upstream it comes from. */
  readonly from: string;
  /** Everybody who has asked and may have it: linked when it is committed. */
  readonly repositories: Map<string, Repository>;
  admitted: boolean;
}

/** All fills of the process, at most one a digest. */
export class Fills {
  readonly #o: FillsOptions;
  readonly #entries = new Map<Digest, Entry>();
  readonly #changes = new Changes();
  #isStopping = false;

  constructor(options: FillsOptions) {
    this.#o = options;
  }

  /** The running fill of a digest, whoever started it. Before a repository joins, it must be proven to have the blob. */
  find(digest: Digest): Fill | undefined {
    const fill = this.#entries.get(digest)?.fill;
    if (fill === undefined || fill.isPausing) return undefined;
    return fill.state.kind === "filling" || fill.state.kind === "verified" ? fill : undefined;
  }

  /** Whether the fill comes from this very repository: its failure is the repository's own. */
  isFrom(fill: Fill, repository: Repository): boolean {
    const entry = this.#entries.get(fill.digest);
    return entry?.fill === fill && entry.from === repositoryPath(repository);
  }

  /** Whether the repository is known to have the blob: it started the fill, or joined it with proof. */
  isFor(fill: Fill, repository: Repository): boolean {
    const entry = this.#entries.get(fill.digest);
    return entry?.fill === fill && entry.repositories.has(repositoryPath(repository));
  }

  /** The repository gets its link when the fill is committed. */
  alsoFor(fill: Fill, repository: Repository): void {
    const entry = this.#entries.get(fill.digest);
    if (entry?.fill === fill) entry.repositories.set(repositoryPath(repository), repository);
  }

  /** Starts a fill from this repository's upstream; the caller has seen that none is running. */
  start(repository: Repository, digest: Digest, size: number | undefined): Fill {
    const previous = this.#entries.get(digest)?.fill;
    const { config } = registryOf(this.#o.registries, repository);
    const repositories = new Map([[repositoryPath(repository), repository]]);
    const origin = { registryId: config.id, repository: repositoryPath(repository) };
    const fill: Fill = new Fill({
      digest,
      size,
      admission: async (signal) => {
        // The one before still owns the spool.
        await previous?.ended;
        await this.#admit(entry, signal);
      },
      openSpool: async (known) => await this.#o.store.openSpool(digest, { ...origin, size: known }),
      openUpstream: this.opener(repository, digest),
      committed: async (bytes) => await this.#link(repositories, digest, bytes),
      log: this.#o.log.child({ repository: origin.repository }),
    });
    const entry: Entry = { fill, from: origin.repository, repositories, admitted: false };
    this.#entries.set(digest, entry);
    void fill.ended.then(() => this.#forget(digest, entry));
    return fill;
  }

  /** Each under its own credentials: what one fetched for all to see may be private where another has it. */
  async #link(repositories: ReadonlyMap<string, Repository>, digest: Digest, bytes: number): Promise<void> {
    for (const one of repositories.values()) {
      const { credentialId } = registryOf(this.#o.registries, one).upstream;
      await this.#o.held.linkBlob(one, digest, bytes, credentialId);
    }
  }

  /** Opens the blob at the repository's own upstream. */
  opener(repository: Repository, digest: Digest): OpenUpstream {
    const { upstream } = registryOf(this.#o.registries, repository);
    return async (range, signal) => await upstream.openBlob(repository.name, digest, range, signal);
  }

  /** Pauses everything; what has come stays as partials. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all([...this.#entries.values()].map(({ fill }) => fill.pause("the cache is stopping")));
  }

  /** Waits until no fill is running. */
  async idle(): Promise<void> {
    while (this.#entries.size > 0) await Promise.all([...this.#entries.values()].map(({ fill }) => fill.ended));
  }

  #forget(digest: Digest, entry: Entry): void {
    if (this.#entries.get(digest) === entry) this.#entries.delete(digest);
    this.#changes.notify();
  }

  async #admit(entry: Entry, signal: AbortSignal): Promise<void> {
    if (this.#isStopping) throw new UpstreamError("aborted", "the cache is stopping");
    if (this.#entries.size > QUEUE_MAX)
      throw new UpstreamError("overloaded", `more than ${QUEUE_MAX} blobs are waited for`);
    const limit = AbortSignal.any([signal, AbortSignal.timeout(QUEUE_WAIT_MS)]);
    while (this.#running().length >= this.#o.fillsMax) {
      const idle = this.#oldestIdle();
      if (idle === undefined) await this.#placeFreed(limit, signal);
      else await idle.pause("paused for a blob that somebody waits for");
    }
    entry.admitted = true;
  }

  async #placeFreed(limit: AbortSignal, signal: AbortSignal): Promise<void> {
    try {
      await this.#changes.next(limit);
    } catch {
      signal.throwIfAborted();
      throw new UpstreamError("overloaded", `no transfer ended within ${QUEUE_WAIT_MS / 1000} s`);
    }
  }

  #running(): Fill[] {
    return [...this.#entries.values()].filter((entry) => entry.admitted).map((entry) => entry.fill);
  }

  #oldestIdle(): Fill | undefined {
    return this.#running()
      .filter((fill) => fill.idleSinceMs !== undefined && fill.state.kind === "filling" && !fill.isPausing)
      .toSorted((a, b) => (a.idleSinceMs ?? 0) - (b.idleSinceMs ?? 0))[0];
  }
}
