import { orAborted } from "../lib/wait.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { Repository } from "../oci/reference.ts";
import type { BlobPull } from "./blobs.ts";
import type { Fill } from "./fill.ts";
import type { Fills } from "./fills.ts";
import { answerFor } from "./upstream-answer.ts";

/** How often it is looked again because a fill of others has ended or failed meanwhile. */
const ROUNDS_MAX = 10;

export interface BringOptions {
  readonly blobs: Pick<BlobPull, "get" | "heldSize">;
  readonly fills: Pick<Fills, "find" | "isFrom">;
}

/** How a blob came to be held. */
export type Brought = "held" | "fetched";

/**
 * Makes a blob held without anybody reading it: by the one fill that clients follow as well, which goes on when `signal` ends the waiting.
 * Hears through `onBytes` how many of its bytes are there. Rejects with a `RegistryError`.
 */
export async function bring(
  { blobs, fills }: BringOptions,
  repository: Repository,
  digest: Digest,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<Brought> {
  let how: Brought = "held";
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const size = await orAborted(blobs.heldSize(repository, digest, signal), signal);
    if (size !== undefined) {
      onBytes(size);
      return how;
    }
    how = "fetched";
    // Errors of upstream come from here, as clients get them; and with it the fill has a reader, so that it is not paused for others.
    const answer = await blobs.get(repository, digest, signal);
    try {
      const fill = answer.isHeld ? undefined : fills.find(digest);
      const isOwn = fill !== undefined && fills.isFrom(fill, repository);
      if (fill !== undefined) await ended(fill, signal, onBytes);
      if (answer.outcome.kind === "unkept" || fill?.state.kind === "unkept") throw unkept();
      // Where it was for others, our own upstream may have it.
      if (fill?.state.kind === "failed" && isOwn) throw answerFor(fill.state.error, "blob");
    } finally {
      await answer.close();
    }
  }
  throw unkept();
}

async function ended(fill: Fill, signal: AbortSignal, onBytes: (bytes: number) => void): Promise<void> {
  while (fill.state.kind === "filling") {
    onBytes(fill.writtenBytes);
    await fill.changed(signal);
  }
  await orAborted(fill.ended, signal);
}

function unkept(): RegistryError {
  return new RegistryError(507, "UNAVAILABLE", "it could not be kept: there is no room on the disk, or the disk fails");
}
