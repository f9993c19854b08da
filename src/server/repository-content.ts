import type { Digest } from "../oci/digest.ts";
import type { Repository } from "../oci/reference.ts";
import type { BlobAnswer } from "../pull/blob-answer.ts";
import type { Outcome } from "../pull/outcome.ts";
import type { Pull } from "../pull/pull.ts";
import type { HeldOnly } from "./admissions.ts";
import type { GetManifest } from "./kept-back.ts";

/** What a client may be given of a repository. Rejects with a `RegistryError`; signals are the client's. */
export interface Content {
  readonly manifest: GetManifest;
  /** What is answered must be closed. */
  blob(digest: Digest, signal: AbortSignal): Promise<BlobAnswer>;
  blobHead(digest: Digest, signal: AbortSignal): Promise<{ size: number; outcome: Outcome }>;
}

/** All of it, or what is held openly, and more only once upstream lets the client in. */
export function contentOf(pull: Pull, repository: Repository, heldOnly: HeldOnly | undefined): Content {
  const all: Content = {
    manifest: async (reference, confirmedSinceMs) => await pull.manifests.get(repository, reference, confirmedSinceMs),
    blob: async (digest, signal) => await pull.blobs.get(repository, digest, signal),
    blobHead: async (digest, signal) => await pull.blobs.head(repository, digest, signal),
  };
  return heldOnly === undefined ? all : heldFirst(all, pull, repository, heldOnly);
}

function heldFirst(all: Content, { openlyHeld }: Pull, repository: Repository, { why, settled }: HeldOnly): Content {
  return {
    manifest: async (reference, confirmedSinceMs) => {
      const held = await openlyHeld.manifest(repository, reference, why);
      if (held !== undefined) return held;
      await settled();
      return await all.manifest(reference, confirmedSinceMs);
    },
    blob: async (digest, signal) => {
      const held = await openlyHeld.blob(repository, digest, signal);
      if (held !== undefined) return held;
      await settled();
      return await all.blob(digest, signal);
    },
    blobHead: async (digest, signal) => {
      const held = await openlyHeld.blob(repository, digest, signal);
      if (held !== undefined) {
        await held.close();
        return held;
      }
      await settled();
      return await all.blobHead(digest, signal);
    },
  };
}
