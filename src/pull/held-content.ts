import { LRUCache } from "lru-cache";
import type { Logger } from "pino";
import { growingCache } from "../lib/growing-cache.ts";
import { type Digest, digestAlgorithm, digestOf } from "../oci/digest.ts";
import { type Manifest, MANIFEST_BYTES_MAX, parseManifest } from "../oci/manifest.ts";
import { type Repository, repositoryPath } from "../oci/reference.ts";
import type { LinkKind, Store } from "../store/store.ts";
import type { Gone } from "./gone.ts";

/** Bytes of manifests that are kept in memory, over all repositories. */
const MANIFEST_MEMORY_BYTES_MAX = 64 * 1024 * 1024;
const LINKS_IN_MEMORY_MAX = 200_000;

/** A manifest as it is served: the bytes exactly as upstream sent them. */
export interface ManifestBytes {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  readonly manifest: Manifest;
}

export interface HeldContentOptions {
  readonly store: Pick<Store, "fetchedWith" | "hasLink" | "readBlob" | "statBlob">;
  /** Whether the repository's content may be given out although credentials were needed to have it. */
  readonly shares: (repository: Repository) => boolean;
  readonly log: Pick<Logger, "error">;
}

/** Who has what, and the manifests themselves: memory first, then the store. */
export class HeldContent {
  readonly #store: HeldContentOptions["store"];
  readonly #shares: HeldContentOptions["shares"];
  readonly #log: Pick<Logger, "error">;
  readonly #manifests = new LRUCache<Digest, ManifestBytes>({
    maxSize: MANIFEST_MEMORY_BYTES_MAX,
    sizeCalculation: (one) => one.bytes.length + 1 + descriptorBytes(one.manifest),
  });
  readonly #links = growingCache<string, true>(LINKS_IN_MEMORY_MAX);
  /** Grows with all that goes: what was read from the store before may be what has gone. */
  #departures = 0;

  constructor({ store, shares, log }: HeldContentOptions) {
    this.#store = store;
    this.#shares = shares;
    this.#log = log;
  }

  async hasLink(kind: LinkKind, repository: Repository, digest: Digest): Promise<boolean> {
    const key = linkKey(kind, repository, digest);
    if (this.#links.get(key) === true) return true;
    const departures = this.#departures;
    if (!(await this.#store.hasLink(kind, repository, digest))) return false;
    if (await this.#isPrivate(kind, repository, digest)) return false;
    if (departures === this.#departures) this.#links.set(key, true);
    return true;
  }

  /** What credentials have opened counts as not held, until it is found to be open to all, or is shared. */
  async #isPrivate(kind: LinkKind, repository: Repository, digest: Digest): Promise<boolean> {
    return !this.#shares(repository) && (await this.#store.fetchedWith(kind, repository, digest)) !== undefined;
  }

  /** The manifest where this repository has it, undefined otherwise. */
  async manifest(repository: Repository, digest: Digest): Promise<ManifestBytes | undefined> {
    return (await this.hasLink("manifest", repository, digest)) ? await this.manifestBytes(digest) : undefined;
  }

  /** The manifest whichever repository has it; the caller must have proof that its own one may. */
  async manifestBytes(digest: Digest): Promise<ManifestBytes | undefined> {
    const remembered = this.#manifests.get(digest);
    if (remembered !== undefined) return remembered;
    const departures = this.#departures;
    const bytes = await this.#readManifest(digest);
    const manifest = bytes === undefined ? undefined : parseManifest(bytes);
    if (bytes === undefined || manifest === undefined) return undefined;
    const held = { digest, bytes, manifest };
    if (departures === this.#departures) this.#manifests.set(digest, held);
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

  /** Its bytes where they are in memory: they were verified, whatever has become of the file since. */
  bytesInMemory(digest: Digest): Uint8Array | undefined {
    return this.#manifests.peek(digest)?.bytes;
  }

  /** The store has it now. */
  rememberLink(kind: LinkKind, repository: Repository, digest: Digest): void {
    this.#links.set(linkKey(kind, repository, digest), true);
  }

  /** What has gone from the store is forgotten here as well. */
  forget({ repositories, bytes }: Gone): void {
    this.#departures += 1;
    for (const { repository, manifests, blobs } of repositories) {
      for (const digest of manifests) this.#links.delete(linkKey("manifest", repository, digest));
      for (const digest of blobs) this.#links.delete(linkKey("layer", repository, digest));
    }
    for (const digest of bytes) this.#manifests.delete(digest);
  }

  /** The store has it now, and these bytes were verified. */
  rememberManifest(kept: ManifestBytes): void {
    this.#manifests.set(kept.digest, kept);
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
