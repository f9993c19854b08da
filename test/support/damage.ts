import type { Digest } from "../../src/oci/digest.ts";
import type { Store } from "../../src/store/store.ts";

/** A store for `StoredBlobs` alone, without links and catalog: what is damaged is taken away. */
export function readingOf(store: Store) {
  return {
    openBlob: async (digest: Digest) => await store.openBlob(digest),
    readBlob: async (digest: Digest, bytesMax: number) => await store.readBlob(digest, bytesMax),
    statBlob: async (digest: Digest) => await store.statBlob(digest),
    removeDamaged: async (digest: Digest, isStillThere: () => Promise<boolean>) => {
      if (await isStillThere()) await store.removeBlob(digest);
    },
  };
}
