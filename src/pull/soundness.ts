import { LRUCache } from "lru-cache";
import pLimit from "p-limit";
import { SingleFlight } from "../lib/single-flight.ts";
import { type Digest, digestAlgorithm, finishDigest, hasherFor } from "../oci/digest.ts";
import type { StoredBlob } from "../store/store.ts";

/** For so long a blob that was found right is not hashed again, unless its file changes. */
export const SOUND_FOR_MS = 60 * 60 * 1000;
const REMEMBERED_MAX = 100_000;
/** Blobs of each kind that are hashed at once. */
const CHECKS_AT_ONCE_MAX = 4;
/** Up to so many bytes hashing takes milliseconds, and somebody waits for it: never behind gigabytes. */
export const CHECKED_FIRST_BYTES_MAX = 8 * 1024 * 1024;
/** One read; hashing so much stops the process for less than a millisecond. */
const CHECK_BYTES = 1024 * 1024;

/** Which stored blobs were hashed lately and found to be what their digest says. */
export class Soundness {
  readonly #found = new LRUCache<Digest, string>({
    // Not `max`, which would take the memory of a full one at once.
    maxSize: REMEMBERED_MAX,
    sizeCalculation: () => 1,
    ttl: SOUND_FOR_MS,
    // The monotonic clock: a wall clock that is set back must not make a verdict last.
    perf: performance,
  });
  readonly #checks = new SingleFlight<boolean>();
  readonly #limits = { short: pLimit(CHECKS_AT_ONCE_MAX), long: pLimit(CHECKS_AT_ONCE_MAX) };

  /** Without a version: whether it was found right lately, whatever has become of its file. */
  isKnown(digest: Digest, version?: string): boolean {
    const found = this.#found.get(digest);
    return found !== undefined && (version === undefined || found === version);
  }

  /** It was hashed while it was written. */
  trust(digest: Digest, version: string): void {
    this.#found.set(digest, version);
  }

  forget(digest: Digest): void {
    this.#found.delete(digest);
  }

  /**
   * Hashes the blob, once however many ask; false where it is not what its digest says, after `onDamaged` has dealt with it.
   * Rejects when it cannot be read.
   */
  async check(digest: Digest, blob: StoredBlob, onDamaged: () => Promise<void>): Promise<boolean> {
    const work = async () => {
      const limit = blob.size <= CHECKED_FIRST_BYTES_MAX ? this.#limits.short : this.#limits.long;
      const isRight = await limit(() => this.#hash(digest, blob));
      if (!isRight) await onDamaged();
      return isRight;
    };
    return await this.#checks.run(`${digest} ${blob.version}`, performance.now(), work).result;
  }

  async #hash(digest: Digest, blob: StoredBlob): Promise<boolean> {
    const hash = hasherFor(digest);
    const buffer = Buffer.allocUnsafeSlow(CHECK_BYTES);
    for (let position = 0, count; (count = await blob.read(buffer, position)) > 0; position += count) {
      hash.update(buffer.subarray(0, count));
    }
    if (finishDigest(digestAlgorithm(digest), hash) !== digest) return false;
    this.#found.set(digest, blob.version);
    return true;
  }
}
