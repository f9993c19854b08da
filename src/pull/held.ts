import { LRUCache } from "lru-cache";
import type { Logger } from "pino";
import type { Catalog } from "../catalog/catalog.ts";
import { within } from "../lib/wait.ts";
import { type Digest, digestOf, digestAlgorithm } from "../oci/digest.ts";
import { type Manifest, MANIFEST_BYTES_MAX, parseManifest } from "../oci/manifest.ts";
import { type Repository, repositoryPath, type Tag } from "../oci/reference.ts";
import { type LinkKind, NoRoomError, type Store } from "../store/store.ts";

/** Bytes of manifests that are kept in memory, over all repositories. */
const MANIFEST_MEMORY_BYTES_MAX = 64 * 1024 * 1024;
const LINKS_IN_MEMORY_MAX = 200_000;
const TAGS_IN_MEMORY_MAX = 100_000;
/** How long a pull waits for the catalog, milliseconds. What takes longer goes on by itself. */
const RECORD_WAIT_MS = 200;
/** Records that wait for the catalog; one more is left to `registry-cache reindex`. */
const RECORDS_MAX = 10_000;

/** A manifest as it is served: the bytes exactly as upstream sent them. */
export interface ManifestBytes {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  readonly manifest: Manifest;
}

export interface TagState {
  readonly digest: Digest;
  /** When upstream last said so, milliseconds since the epoch; 0 where nobody remembers. */
  readonly confirmedAtMs: number;
}

export interface HeldOptions {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly log: Logger;
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
  readonly #manifests = new LRUCache<Digest, ManifestBytes>({
    maxSize: MANIFEST_MEMORY_BYTES_MAX,
    sizeCalculation: (one) => one.bytes.length + 1 + descriptorBytes(one.manifest),
  });
  readonly #records = new Set<Promise<void>>();
  readonly #links = new LRUCache<string, true>({ max: LINKS_IN_MEMORY_MAX });
  readonly #tags = new LRUCache<string, TagState>({ max: TAGS_IN_MEMORY_MAX });

  constructor(options: HeldOptions) {
    this.#store = options.store;
    this.#catalog = options.catalog;
    this.#log = options.log;
  }

  async hasLink(kind: LinkKind, repository: Repository, digest: Digest): Promise<boolean> {
    const key = linkKey(kind, repository, digest);
    if (this.#links.get(key) === true) return true;
    if (!(await this.#store.hasLink(kind, repository, digest))) return false;
    this.#links.set(key, true);
    return true;
  }

  /** The manifest where this repository has it, undefined otherwise. */
  async manifest(repository: Repository, digest: Digest): Promise<ManifestBytes | undefined> {
    return (await this.hasLink("manifest", repository, digest)) ? await this.manifestBytes(digest) : undefined;
  }

  /** The manifest whichever repository has it; the caller must have proof that its own one may. */
  async manifestBytes(digest: Digest): Promise<ManifestBytes | undefined> {
    const remembered = this.#manifests.get(digest);
    if (remembered !== undefined) return remembered;
    const bytes = await this.#readManifest(digest);
    const manifest = bytes === undefined ? undefined : parseManifest(bytes);
    if (bytes === undefined || manifest === undefined) return undefined;
    const held = { digest, bytes, manifest };
    this.#manifests.set(digest, held);
    return held;
  }

  /** Reading from disk is rare, so the bytes are verified each time: a flipped bit is never served. */
  async #readManifest(digest: Digest): Promise<Uint8Array | undefined> {
    const size = await this.#store.statBlob(digest);
    if (size === undefined || size > MANIFEST_BYTES_MAX) return undefined;
    const bytes = await this.#store.readBlob(digest, MANIFEST_BYTES_MAX);
    if (bytes === undefined || digestOf(bytes, digestAlgorithm(digest)) === digest) return bytes;
    this.#log.error({ digest }, "a stored manifest does not match its digest; it is fetched anew");
    return undefined;
  }

  async tag(repository: Repository, tag: Tag): Promise<TagState | undefined> {
    const key = tagKey(repository, tag);
    const remembered = this.#tags.get(key);
    if (remembered !== undefined) return remembered;
    const digest = await this.#store.tag(repository, tag);
    if (digest === undefined) return undefined;
    const row = await this.#fromCatalog(this.#catalog.tag(repository, tag));
    const state = { digest, confirmedAtMs: row?.digest === digest ? row.confirmedAtMs : 0 };
    this.#tags.set(key, state);
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
    return await this.#keeping(repository, digest, async () => {
      if (!(await this.#isStored(digest, bytes))) await this.#makeRoomAndPut(digest, bytes);
      await this.#store.link("manifest", repository, digest, fetchedWith);
      this.#links.set(linkKey("manifest", repository, digest), true);
      this.#manifests.set(digest, kept);
      const record = { repository, digest, size: bytes.length, manifest, fetchedWith, atMs: Date.now() };
      await this.#toCatalog(() => this.#catalog.recordManifest(record));
    });
  }

  /** By content, not by size: a stored manifest in which a bit has flipped is replaced by the right one. */
  async #isStored(digest: Digest, bytes: Uint8Array): Promise<boolean> {
    if ((await this.#store.statBlob(digest)) !== bytes.length) return false;
    return (await this.#store.readBlob(digest, bytes.length))?.equals(bytes) === true;
  }

  async #makeRoomAndPut(digest: Digest, bytes: Uint8Array): Promise<void> {
    if ((await this.#store.room()) < bytes.length) throw new NoRoomError("the disk's reserve is reached");
    await this.#store.putBlob(digest, bytes);
  }

  /** Links a stored, verified blob. True where it was kept. */
  async linkBlob(repository: Repository, digest: Digest, size: number, fetchedWith?: string): Promise<boolean> {
    return await this.#keeping(repository, digest, async () => {
      await this.#store.link("layer", repository, digest, fetchedWith);
      this.#links.set(linkKey("layer", repository, digest), true);
      const record = { repository, digest, size, fetchedWith, atMs: Date.now() };
      await this.#toCatalog(() => this.#catalog.recordBlob(record));
    });
  }

  /** The manifest must be held already: a tag never points into nothing. */
  async setTag(repository: Repository, tag: Tag, digest: Digest, atMs: number): Promise<void> {
    await this.#keeping(repository, digest, async () => {
      await this.#store.setTag(repository, tag, digest);
      this.#tags.set(tagKey(repository, tag), { digest, confirmedAtMs: atMs });
      await this.#toCatalog(() => this.#catalog.recordTag(repository, tag, digest, atMs));
    });
  }

  /** Upstream said again that the tag points where we think it does. The caller tells the catalog, in batches. */
  confirmTag(repository: Repository, tag: Tag, state: TagState, atMs: number): void {
    this.#tags.set(tagKey(repository, tag), { digest: state.digest, confirmedAtMs: atMs });
  }

  async fetchedWithCredentials(repository: Repository, digest: Digest): Promise<boolean> {
    return (await this.#store.fetchedWith("manifest", repository, digest)) !== undefined;
  }

  async #keeping(repository: Repository, digest: Digest, keep: () => Promise<void>): Promise<boolean> {
    try {
      await keep();
      return true;
    } catch (error) {
      const about = { repository: repositoryPath(repository), digest };
      if (error instanceof NoRoomError) this.#log.warn({ ...about, reason: error.message }, "not kept: no room");
      else this.#log.error({ ...about, err: error }, "not kept: the store failed");
      return false;
    }
  }

  /** Waits until everything is recorded. */
  async idle(): Promise<void> {
    while (this.#records.size > 0) await Promise.all(this.#records);
  }

  /** A slow catalog, with somebody's monster of a manifest before us, costs a pull next to nothing. */
  async #toCatalog(write: () => Promise<void>): Promise<void> {
    if (this.#records.size >= RECORDS_MAX) {
      this.#log.error("the catalog is too slow to be written; `registry-cache reindex` mends it");
      return;
    }
    const record = this.#recorded(write).finally(() => this.#records.delete(record));
    this.#records.add(record);
    await within(record, RECORD_WAIT_MS);
  }

  async #recorded(write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      this.#log.error({ err: error }, "the catalog could not be written; `registry-cache reindex` mends it");
    }
  }
}

/** Parsed, a manifest of many short descriptors takes several times its own length. */
const DESCRIPTOR_BYTES = 500;

function descriptorBytes({ manifests, blobs }: Manifest): number {
  return (manifests.length + blobs.length) * DESCRIPTOR_BYTES;
}

function linkKey(kind: LinkKind, repository: Repository, digest: Digest): string {
  return `${kind} ${repositoryPath(repository)}@${digest}`;
}

function tagKey(repository: Repository, tag: Tag): string {
  return `${repositoryPath(repository)}:${tag}`;
}
