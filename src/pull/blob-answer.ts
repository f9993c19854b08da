import type { Digest } from "../oci/digest.ts";
import type { ByteReader, Span } from "./bytes.ts";
import type { Outcome } from "./outcome.ts";
import type { OpenBlob } from "./stored-blobs.ts";

export interface BlobAnswer {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly outcome: Outcome;
  /** Whether parts may be read in any order and at once: true for what is held. */
  readonly isHeld: boolean;
  /** All of them, where they are in memory. */
  readonly bytes?: Uint8Array | undefined;
  /** The bytes of a span. Each reader must be closed; an answer that is not read must be `close`d too. */
  open(span: Span): Promise<ByteReader>;
  close(): Promise<void>;
}

/** A stored blob as the answer to a client, whose signal it is. */
export function storedAnswer(digest: Digest, blob: OpenBlob, signal: AbortSignal): BlobAnswer {
  return {
    digest,
    size: blob.size,
    outcome: { kind: "hit" },
    isHeld: true,
    bytes: blob.bytes,
    open: async (span) => blob.reader(span, signal),
    close: async () => await blob.close(),
  };
}
