import type { Logger } from "pino";
import { growingCache } from "../lib/growing-cache.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { within } from "../lib/wait.ts";
import type { Digest } from "../oci/digest.ts";
import { type Repository, repositoryPath, type Tag } from "../oci/reference.ts";
import { KeyedLocks, type Release } from "../lib/keyed-locks.ts";
import { type LinkKind, NoRoomError, type Store } from "../store/store.ts";
import { HeldContent, type HeldContentOptions, type ManifestBytes } from "./held-content.ts";
import type { Gone } from "./gone.ts";
import type { NamedSizes } from "./named-sizes.ts";
import type { Reservation, Room } from "./room.ts";

const TAGS_IN_MEMORY_MAX = 100_000;
/** How long a pull waits for the catalog, milliseconds. What takes longer goes on by itself. */
const RECORD_WAIT_MS = 200;
/** Records that wait for the catalog; one more is left to the next start. */
const RECORDS_MAX = 10_000;

export interface TagState {
  readonly digest: Digest;
  /** When upstream last said so, milliseconds since the epoch; 0 where nobody remembers. */
  readonly confirmedAtMs: number;
  /** Since when upstream says that it does not have it. */
  readonly vanishedAtMs?: number;
  /** It is held at this digest: upstream is not asked, and has said nothing of it. */
  readonly byHold?: true;
}

/** What happens to what is held, for whoever wants to hear of it. */
export interface HeldNews {
  readonly onTagMoved?: ((repository: Repository, tag: Tag, from: Digest, to: Digest) => void) | undefined;
  /** A manifest became held that the repository did not have; bytes. */
  readonly onNewDigest?: ((repository: Repository, digest: Digest, size: number) => void) | undefined;
  /** Upstream does not have a tag any more that leads to this. */
  readonly onVanished?: ((repository: Repository, tag: Tag, digest: Digest) => void) | undefined;
}

export interface HeldOptions extends HeldNews {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly shares: HeldContentOptions["shares"];
  readonly log: Logger;
  readonly room: Room;
  /** Told of every manifest that is kept, and of what goes. */
  readonly named?: Pick<NamedSizes, "forget" | "remember"> | undefined;
  /** Hears of every manifest that a repository has now, and of what it was fetched with. */
  readonly onKept?:
    | ((repository: Repository, kept: ManifestBytes, fetchedWith: string | undefined) => void)
    | undefined;
  /** Hears of every tag that upstream has confirmed, moved or lost. */
  readonly onTag?: ((repository: Repository, tag: Tag, state: TagState) => void) | undefined;
}

/**
 * What our repositories have: memory first, then the store, with the catalog told of every change. A hit ends in memory
 * and touches neither disk nor SQL. Keeping something never fails a pull: without room, or with a broken catalog, the
 * answer is served un-kept and the log says so.
 */
export class Held {
  readonly #store: Store;
  readonly #catalog: Catalog;
  readonly #log: Logger;
  readonly #content: HeldContent;
  readonly #onTag: HeldOptions["onTag"];
  readonly #onKept: HeldOptions["onKept"];
  readonly #news: HeldNews;
  readonly #named: HeldOptions["named"];
  readonly #records = new Set<Promise<void>>();
  readonly #tags = growingCache<string, TagState>(TAGS_IN_MEMORY_MAX);
  readonly #room: Room;
  #hasMissedRecords = false;
  /** Grows with all that goes: what was read from the store before may be what has gone. */
  #departures = 0;
  /**
   * By a repository's path, shared by whoever keeps something in it; by digest, shared by whoever links its bytes. Whoever
   * evicts has them alone: no link is made to bytes that go, no tag set to a manifest that goes. Hits take none.
   */
  readonly locks = new KeyedLocks();

  constructor(options: HeldOptions) {
    this.#store = options.store;
    this.#catalog = options.catalog;
    this.#log = options.log;
    this.#content = new HeldContent(options);
    this.#onTag = options.onTag;
    this.#onKept = options.onKept;
    this.#news = options;
    this.#named = options.named;
    this.#room = options.room;
  }

  /** Whether the store has something that the catalog could not be told of. */
  get hasMissedRecords(): boolean {
    return this.#hasMissedRecords;
  }

  async hasLink(kind: LinkKind, repository: Repository, digest: Digest): Promise<boolean> {
    return await this.#content.hasLink(kind, repository, digest);
  }

  /** The manifest where this repository has it, undefined otherwise. */
  async manifest(repository: Repository, digest: Digest): Promise<ManifestBytes | undefined> {
    return await this.#content.manifest(repository, digest);
  }

  /** The manifest whichever repository has it; the caller must have proof that its own one may. */
  async manifestBytes(digest: Digest): Promise<ManifestBytes | undefined> {
    return await this.#content.manifestBytes(digest);
  }

  /** A manifest's bytes where they are in memory. */
  bytesInMemory(digest: Digest): Uint8Array | undefined {
    return this.#content.bytesInMemory(digest);
  }

  async tag(repository: Repository, tag: Tag): Promise<TagState | undefined> {
    const key = tagKey(repository, tag);
    const remembered = this.#tags.get(key);
    if (remembered !== undefined) return remembered;
    const departures = this.#departures;
    const digest = await this.#store.tag(repository, tag);
    if (digest === undefined) return undefined;
    const row = await this.#fromCatalog(this.#catalog.tag(repository, tag));
    // It may have moved while we were reading.
    const newer = this.#tags.get(key);
    if (newer !== undefined) return newer;
    const state = row?.digest === digest ? row : { digest, confirmedAtMs: 0 };
    if (departures === this.#departures) this.#tags.set(key, state);
    return state;
  }

  /** The catalog is a convenience: a broken one costs a question to upstream, never a pull. */
  async #fromCatalog<T>(read: Promise<T | undefined>): Promise<T | undefined> {
    try {
      return await read;
    } catch (error) {
      this.#log.error({ err: error }, "the catalog could not be read");
      return undefined;
    }
  }

  /** Makes a verified manifest held by this repository. True where it was kept. */
  async keepManifest(repository: Repository, kept: ManifestBytes, fetchedWith: string | undefined): Promise<boolean> {
    const { digest, bytes, manifest } = kept;
    const room = async () => await this.#room.reserve({ registryId: repository.registryId, bytes: bytes.length });
    const isKept = await this.#keeping(repository, digest, room, async () => {
      const isNew = !(await this.#store.hasLink("manifest", repository, digest));
      if (!(await this.#isStored(digest, bytes))) await this.#store.putBlob(digest, bytes);
      await this.#store.link("manifest", repository, digest, fetchedWith);
      this.#content.rememberLink("manifest", repository, digest);
      this.#content.rememberManifest(kept);
      if (isNew) this.#news.onNewDigest?.(repository, digest, bytes.length);
      this.#named?.remember(repository, manifest);
      const record = { repository, digest, size: bytes.length, manifest, fetchedWith, atMs: Date.now() };
      return async () => await this.#catalog.recordManifest(record);
    });
    if (isKept) this.#onKept?.(repository, kept, fetchedWith);
    return isKept;
  }

  /** By content, not by size: a stored manifest in which a bit has flipped is replaced by the right one. */
  async #isStored(digest: Digest, bytes: Uint8Array): Promise<boolean> {
    if ((await this.#store.statBlob(digest)) !== bytes.length) return false;
    return (await this.#store.readBlob(digest, bytes.length))?.equals(bytes) === true;
  }

  /**
   * Links a stored, verified blob. True where it was kept. A fill has the room for it reserved already, which is released when
   * the catalog knows of the blob.
   */
  async linkBlob(
    repository: Repository,
    digest: Digest,
    size: number,
    fetchedWith?: string,
    reserved?: Reservation,
  ): Promise<boolean> {
    const room = async () => reserved ?? (await this.#roomForLink(repository, digest, size));
    return await this.#keeping(repository, digest, room, async () => {
      // It may have been evicted since it was looked for.
      if ((await this.#store.statBlob(digest)) === undefined) return undefined;
      await this.#store.link("layer", repository, digest, fetchedWith);
      this.#content.rememberLink("layer", repository, digest);
      const record = { repository, digest, size, fetchedWith, atMs: Date.now() };
      return async () => await this.#catalog.recordBlob(record);
    });
  }

  /** What is stored already counts for each registry that has it, and only there. */
  async #roomForLink({ registryId }: Repository, digest: Digest, size: number): Promise<Reservation | undefined> {
    if (!this.#room.budgets.byRegistry.has(registryId)) return undefined;
    const links = (await this.#fromCatalog(this.#catalog.linksTo(digest, registryId))) ?? 0;
    return links > 0 ? undefined : await this.#room.reserve({ registryId, bytes: 0, registryBytes: size });
  }

  /** The manifest must be held already: a tag never points into nothing, also where that has just been evicted. */
  async setTag(repository: Repository, tag: Tag, digest: Digest, atMs: number): Promise<void> {
    const noRoom = async () => undefined;
    await this.#keeping(repository, digest, noRoom, async () => {
      if (!(await this.#store.hasLink("manifest", repository, digest))) return undefined;
      await this.#store.setTag(repository, tag, digest);
      const before = this.#tags.get(tagKey(repository, tag));
      this.#setState(repository, tag, { digest, confirmedAtMs: atMs });
      if (before !== undefined && before.digest !== digest)
        this.#news.onTagMoved?.(repository, tag, before.digest, digest);
      return async () => {
        // Its last confirmation may wait in the notebook still, and goes into the tag's history now or never.
        if (before !== undefined && before.digest !== digest && before.confirmedAtMs > 0)
          await this.#catalog.confirmTags([{ repository, tag, digest: before.digest, atMs: before.confirmedAtMs }]);
        await this.#catalog.recordTag(repository, tag, digest, atMs);
      };
    });
  }

  /** Upstream said again that the tag points where we think it does. The caller tells the catalog, in batches. */
  confirmTag(repository: Repository, tag: Tag, state: TagState, atMs: number): void {
    this.#setState(repository, tag, { digest: state.digest, confirmedAtMs: atMs });
  }

  /** Upstream says that it does not have the tag, of which we know this. What is held stays. */
  async vanishTag(repository: Repository, tag: Tag, { digest, confirmedAtMs }: TagState, atMs: number): Promise<void> {
    const known = this.#tags.get(tagKey(repository, tag));
    // It may have moved meanwhile, or be gone here as well.
    if (known?.digest !== digest || known.vanishedAtMs !== undefined) return;
    this.#setState(repository, tag, { digest, confirmedAtMs, vanishedAtMs: atMs });
    this.#news.onVanished?.(repository, tag, digest);
    await this.#toCatalog(
      async () => await this.#catalog.vanishTag(repository, tag, atMs),
      () => undefined,
    );
  }

  #setState(repository: Repository, tag: Tag, state: TagState): void {
    this.#tags.set(tagKey(repository, tag), state);
    this.#onTag?.(repository, tag, state);
  }

  async fetchedWithCredentials(repository: Repository, digest: Digest): Promise<boolean> {
    return (await this.#store.fetchedWith("manifest", repository, digest)) !== undefined;
  }

  /**
   * Runs `keep` where there is room, beside no eviction of the same. It gives what the catalog is to be told, and until that is
   * done neither is released; undefined: nothing was kept.
   */
  async #keeping(
    repository: Repository,
    digest: Digest,
    room: () => Promise<Reservation | undefined>,
    keep: () => Promise<(() => Promise<void>) | undefined>,
  ): Promise<boolean> {
    const releases: Release[] = [];
    let reservation: Reservation | undefined;
    const end = (isKnown = true) => {
      for (const release of releases) release();
      // What the catalog will not count goes on counting here.
      if (isKnown) reservation?.release();
    };
    try {
      reservation = await room();
      for (const key of [repositoryPath(repository), digest]) releases.push(await this.locks.shared(key));
      const record = await keep();
      reservation?.stored();
      if (record !== undefined) await this.#toCatalog(record, end);
      else end();
      return record !== undefined;
    } catch (error) {
      end();
      const about = { repository: repositoryPath(repository), digest };
      if (error instanceof NoRoomError) this.#log.warn({ ...about, reason: error.message }, "not kept: no room");
      else this.#log.error({ ...about, err: error }, "not kept: the store failed");
      return false;
    }
  }

  /** What has gone from the store is forgotten here as well. */
  forget(gone: Gone): void {
    this.#departures += 1;
    this.#content.forget(gone);
    for (const { repository, tags, manifests, blobs } of gone.repositories) {
      for (const tag of tags) this.#tags.delete(tagKey(repository, tag));
      this.#named?.forget(repository, [...manifests, ...blobs]);
    }
  }

  /** The store has lost something that the catalog could not be told of. */
  missedRecord(): void {
    this.#hasMissedRecords = true;
  }

  /** Waits until everything is recorded. */
  async idle(): Promise<void> {
    while (this.#records.size > 0) await Promise.all(this.#records);
  }

  /** A slow catalog, with somebody's monster of a manifest before us, costs a pull next to nothing. */
  async #toCatalog(write: () => Promise<void>, recorded: (isKnown: boolean) => void): Promise<void> {
    if (this.#records.size >= RECORDS_MAX) {
      this.#hasMissedRecords = true;
      this.#log.error("the catalog is too slow to be written; the next start mends it");
      recorded(false);
      return;
    }
    let isKnown = false;
    const told = async () => {
      await write();
      isKnown = true;
    };
    const record = this.#recorded(told).finally(() => {
      this.#records.delete(record);
      recorded(isKnown);
    });
    this.#records.add(record);
    await within(record, RECORD_WAIT_MS);
  }

  async #recorded(write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      this.#hasMissedRecords = true;
      this.#log.error({ err: error }, "the catalog could not be written; the next start mends it");
    }
  }
}

function tagKey(repository: Repository, tag: Tag): string {
  return `${repositoryPath(repository)}:${tag}`;
}
