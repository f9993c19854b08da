import { LRUCache } from "lru-cache";
import type { Digest } from "../oci/digest.ts";
import type { Descriptor, Manifest } from "../oci/manifest.ts";
import { type Repository, repositoryPath } from "../oci/reference.ts";

/** Clients pull the blobs right after the manifest that names them. */
const REMEMBERED_MS = 10 * 60 * 1000;
const REMEMBERED_MAX = 50_000;
/** A manifest with more is left to the catalog: no image has so many, and it would drive out the others. */
const DESCRIPTORS_MAX = 1_000;

/**
 * What the manifests that were kept lately name, and the sizes that they give. The catalog knows it all, but asking it would
 * take a millisecond of the time that a client waits for the first byte of a blob.
 */
export class NamedSizes {
  readonly #sizes = new LRUCache<string, number>({
    maxSize: REMEMBERED_MAX,
    sizeCalculation: () => 1,
    ttl: REMEMBERED_MS,
  });

  /** The repository has this manifest now. */
  remember(repository: Repository, { manifests, blobs }: Manifest): void {
    if (manifests.length + blobs.length > DESCRIPTORS_MAX) return;
    const name = ({ digest, size }: Descriptor) => this.#sizes.set(keyOf(repository, digest), size);
    manifests.forEach(name);
    blobs.forEach(name);
  }

  /** The repository has these no longer; what names them may have gone with them. */
  forget(repository: Repository, digests: readonly Digest[]): void {
    for (const digest of digests) this.#sizes.delete(keyOf(repository, digest));
  }

  /** Bytes or UNKNOWN_SIZE; undefined where it is not remembered, which says nothing. */
  get(repository: Repository, digest: Digest): number | undefined {
    return this.#sizes.get(keyOf(repository, digest));
  }
}

function keyOf(repository: Repository, digest: Digest): string {
  return `${repositoryPath(repository)}@${digest}`;
}
