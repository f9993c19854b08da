import type { Logger } from "pino";
import type { Digest } from "../oci/digest.ts";
import { type Repository, repositoryPath } from "../oci/reference.ts";
import { NoRoomError, type Store } from "../store/store.ts";
import { type TransferLane, UpstreamError } from "../upstream/upstream.ts";
import { Changes } from "../lib/wait.ts";
import type { FillActivity, FillEnd } from "./activity.ts";
import type { ChunkCache } from "./chunks.ts";
import { Fill } from "./fill.ts";
import type { Held } from "./held.ts";
import { type PullRegistries, type PullRegistry, registryOf } from "./registries.ts";
import { openReserved } from "./reserved-spool.ts";
import type { Reservation, Room } from "./room.ts";
import { Sources } from "./sources.ts";
import type { StoredBlobs } from "./stored-blobs.ts";
import type { OpenUpstream } from "./transfer.ts";

/** Fills of one upstream, running or waiting for a place; one more is refused with 503. */
const UPSTREAM_FILLS_MAX = 1_000;
/** The longest that a fill waits for a place. */
const QUEUE_WAIT_MS = 60_000;

export interface FillsOptions {
  readonly store: Store;
  readonly held: Held;
  readonly blobs: StoredBlobs;
  readonly room: Room;
  readonly chunks: ChunkCache;
  readonly registries: PullRegistries;
  /** Transfers at once; the others wait. */
  readonly fillsMax: number;
  /** Hears of what could be linked nowhere after all. */
  readonly onUnlinked: (digest: Digest) => Promise<void>;
  /** Hears of what was linked to all who had asked for it. */
  readonly onStored: (digest: Digest) => void;
  readonly log: Logger;
  /** Hears how many fills there are, and how each has ended. */
  readonly onFill?: OnFill | undefined;
}

export type OnFill = (registryId: string, how: "begun" | FillEnd) => void;

/** Rejects unless the repository has the blob; with its size where upstream has said it. */
type Prove = () => Promise<{ readonly size: number | undefined } | undefined>;

interface Entry {
  readonly fill: Fill;
  readonly sources: Sources;
  /** Whose upstream it comes from. */
  readonly from: string;
  readonly registry: PullRegistry;
  /** Everybody who has asked and may have it: linked when it is committed. */
  readonly repositories: Map<string, Repository>;
  readonly sinceMs: number;
  admitted: boolean;
}

/** All fills of the process, at most one a digest. */
export class Fills {
  readonly #o: FillsOptions;
  readonly #entries = new Map<Digest, Entry>();
  /** Fills that could not be kept and have ended, as long as somebody reads on by himself. */
  readonly #streamed = new Set<Entry>();
  readonly #changes = new Changes();
  #isStopping = false;

  constructor(options: FillsOptions) {
    this.#o = options;
  }

  /** The running fill of a digest, whoever started it. Before a repository joins, it must be proven to have the blob. */
  find(digest: Digest): Fill | undefined {
    const fill = this.#entries.get(digest)?.fill;
    if (fill === undefined || fill.isPausing || fill.hasEnded) return undefined;
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

  /** The repository, which is proven to have the blob, gets its link at the commit; its upstream helps when ours fails. */
  alsoFor(fill: Fill, repository: Repository): void {
    const entry = this.#entries.get(fill.digest);
    if (entry?.fill !== fill) return;
    entry.repositories.set(repositoryPath(repository), repository);
    const { upstream } = registryOf(this.#o.registries, repository);
    entry.sources.add(upstream.place, this.opener(repository, fill.digest));
  }

  /**
   * Starts a fill from this repository's upstream; the caller has seen that none is running. `prove` rejects unless the repository
   * has the blob.
   */
  start(repository: Repository, digest: Digest, size: number | undefined, prove: Prove): Fill {
    const previous = this.#entries.get(digest)?.fill;
    const registry = registryOf(this.#o.registries, repository);
    const repositories = new Map([[repositoryPath(repository), repository]]);
    const origin = { registryId: registry.config.id, repository: repositoryPath(repository) };
    const sources = new Sources(registry.upstream.place, this.opener(repository, digest), () => fill.writtenBytes);
    let reservation: Reservation | undefined;
    const fill: Fill = new Fill({
      digest,
      size,
      admission: async (signal) => {
        // The one before still owns the spool.
        await previous?.ended;
        await this.#admit(entry, signal);
      },
      isNew: async () => await this.#isNew(origin.registryId, digest, size),
      openSpool: async (known) => {
        const assertMeant = async () => await assertSize(known, prove);
        const itsOrigin = { ...origin, size: known };
        const opened = await openReserved(this.#o.room, this.#o.store, digest, itsOrigin, assertMeant);
        reservation = opened.reservation;
        return opened.spool;
      },
      openUpstream: sources.open,
      prove,
      chunks: this.#o.chunks,
      committed: async (bytes) => await this.#link(repositories, digest, bytes, reservation),
      log: this.#o.log.child({ repository: origin.repository }),
    });
    const from = { fill, sources, from: origin.repository, registry, repositories };
    const entry: Entry = { ...from, sinceMs: Date.now(), admitted: false };
    this.#entries.set(digest, entry);
    this.#o.onFill?.(registry.config.id, "begun");
    void fill.ended.then(() => this.#forget(digest, entry));
    return fill;
  }

  /** No partial, and room for it: the whole will be asked for. */
  async #isNew(registryId: string, digest: Digest, bytes = 0): Promise<boolean> {
    const { store, room } = this.#o;
    const [hasPartial, hasRoom] = await Promise.all([store.hasPartial(digest), room.has({ registryId, bytes })]);
    return !hasPartial && hasRoom;
  }

  /** Each under its own credentials: what one fetched for all to see may be private where another has it. */
  async #link(
    repositories: ReadonlyMap<string, Repository>,
    digest: Digest,
    bytes: number,
    reservation: Reservation | undefined,
  ): Promise<void> {
    await this.#o.blobs.trust(digest);
    // What the first one's registry has room for was reserved when the fill began.
    let [reserved, isLinked] = [reservation, false];
    for (const one of repositories.values()) {
      const credentialId = registryOf(this.#o.registries, one).upstream.credentialIdFor(one.name);
      const linked = await this.#o.held.linkBlob(one, digest, bytes, credentialId, reserved);
      isLinked ||= linked;
      reserved = undefined;
    }
    if (isLinked) this.#o.onStored(digest);
    else await this.#o.onUnlinked(digest);
  }

  /** Names what is being fetched, and for whom. */
  each(tell: (repository: Repository, digest: Digest) => void): void {
    for (const [digest, { repositories }] of this.#entries) for (const one of repositories.values()) tell(one, digest);
  }

  /** The oldest first. */
  activity(): FillActivity[] {
    this.#forgetUnread();
    const all = [...this.#streamed, ...this.#entries.values()].toSorted((a, b) => a.sinceMs - b.sinceMs);
    return all.map((entry) => {
      const { fill, from, registry, sinceMs } = entry;
      return {
        digest: fill.digest,
        repository: from,
        registryId: registry.config.id,
        state: stateOf(entry),
        bytes: Math.max(fill.writtenBytes, fill.streamed.end),
        size: fill.size,
        bytesPerSecond: fill.bytesPerSecond + fill.streamed.bytesPerSecond,
        readers: fill.readers,
        sinceMs,
      };
    });
  }

  /** Opens the blob at the repository's own upstream. */
  opener(repository: Repository, digest: Digest, lane: TransferLane = "whole"): OpenUpstream {
    const upstream = registryOf(this.#o.registries, repository).upstream.forTransfer(repository.name);
    return async (range, signal) => await upstream.openBlob(repository.name, digest, range, signal, lane);
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
    this.#o.onFill?.(entry.registry.config.id, entry.fill.end);
    entry.sources.close();
    if (this.#entries.get(digest) === entry) this.#entries.delete(digest);
    // Each time, so that it never holds more than are read.
    this.#forgetUnread();
    if (entry.fill.state.kind === "unkept" && entry.fill.readers > 0) this.#streamed.add(entry);
    this.#changes.notify();
  }

  #forgetUnread(): void {
    for (const entry of this.#streamed) if (entry.fill.readers === 0) this.#streamed.delete(entry);
  }

  async #admit(entry: Entry, signal: AbortSignal): Promise<void> {
    if (this.#isStopping) throw new UpstreamError("aborted", "the cache is stopping");
    if (this.#ofUpstream(entry, [...this.#entries.values()]).length > UPSTREAM_FILLS_MAX)
      throw new UpstreamError("overloaded", `more than ${UPSTREAM_FILLS_MAX} blobs of this upstream are waited for`);
    let limit: AbortSignal | undefined;
    for (let rivals = this.#rivals(entry); rivals.length > 0; rivals = this.#rivals(entry)) {
      limit ??= AbortSignal.any([signal, AbortSignal.timeout(QUEUE_WAIT_MS)]);
      const idle = oldestIdle(rivals);
      if (idle === undefined) await this.#placeFreed(limit, signal);
      else await idle.pause("paused for a blob that somebody waits for");
    }
    entry.admitted = true;
  }

  /**
   * The running fills of which one must end before this one may begin; none where there is a place. An upstream's own
   * transfers are counted here too: a fill that nobody reads must not keep one that is waited for in the upstream's queue.
   */
  #rivals(entry: Entry): Entry[] {
    const running = [...this.#entries.values()].filter((one) => one.admitted);
    if (running.length >= this.#o.fillsMax) return running;
    const own = this.#ofUpstream(entry, running);
    return own.length >= entry.registry.config.transfersMax ? own : [];
  }

  #ofUpstream({ registry }: Entry, entries: readonly Entry[]): Entry[] {
    return entries.filter((one) => one.registry.upstream.place === registry.upstream.place);
  }

  async #placeFreed(limit: AbortSignal, signal: AbortSignal): Promise<void> {
    try {
      await this.#changes.next(limit);
    } catch {
      signal.throwIfAborted();
      throw new UpstreamError("overloaded", `no transfer ended within ${QUEUE_WAIT_MS / 1000} s`);
    }
  }
}

/**
 * Nobody is to have others' images evicted by a manifest that says anything: the upstream has to say that there is such a blob,
 * of that size.
 */
async function assertSize(named: number | undefined, prove: Prove): Promise<void> {
  const said = (await prove())?.size;
  if (named !== undefined && said !== undefined && said !== named)
    throw new NoRoomError(`nothing is evicted for it: a manifest says ${named} bytes, upstream ${said}`);
}

function stateOf({ fill, admitted }: Entry): FillActivity["state"] {
  if (fill.state.kind === "unkept") return "unkept";
  if (fill.state.kind !== "filling") return "ending";
  return admitted ? "filling" : "waiting";
}

function oldestIdle(entries: readonly Entry[]): Fill | undefined {
  return entries
    .map(({ fill }) => fill)
    .filter((fill) => fill.idleSinceMs !== undefined && fill.state.kind === "filling" && !fill.isPausing)
    .toSorted((a, b) => (a.idleSinceMs ?? 0) - (b.idleSinceMs ?? 0))[0];
}
