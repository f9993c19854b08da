import { type Digest, digestAlgorithm, finishDigest, hasherFor } from "../../oci/digest.ts";
import type { StoredBlob } from "../../store/store.ts";
import type { Pace } from "./pace.ts";

/** One read. */
const PIECE_BYTES = 1024 * 1024;

/** What the system says of bytes that the disk cannot give any more, or not as they were written. */
const UNREADABLE_CODES: ReadonlySet<string> = new Set(["EIO", "EBADMSG", "EUCLEAN"]);

/**
 * Whether the bytes are what their digest says, read at this pace with memory of its own: what readers share is left alone.
 * Rejects with the signal's reason, and when the system refuses to read.
 */
export async function isRight(
  digest: Digest,
  blob: StoredBlob,
  pace: Pace,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<boolean> {
  const hash = hasherFor(digest);
  const buffer = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, Math.max(1, blob.size)));
  try {
    for (let position = 0, count; (count = await blob.read(buffer, position)) > 0; position += count) {
      hash.update(buffer.subarray(0, count));
      onBytes(count);
      await pace.after(count, signal);
    }
  } catch (error) {
    if (error instanceof Error && "code" in error && UNREADABLE_CODES.has(String(error.code))) return false;
    throw error;
  }
  return finishDigest(digestAlgorithm(digest), hash) === digest;
}
