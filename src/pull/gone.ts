import type { Digest } from "../oci/digest.ts";
import type { Repository, Tag } from "../oci/reference.ts";

/** What has gone from the store, for whoever remembers it. */
export interface Gone {
  readonly repositories: readonly GoneFrom[];
  /** Whose bytes have gone, or will. */
  readonly bytes: readonly Digest[];
}

/** What a repository has no longer. */
export interface GoneFrom {
  readonly repository: Repository;
  readonly manifests: readonly Digest[];
  readonly blobs: readonly Digest[];
  readonly tags: readonly Tag[];
}
