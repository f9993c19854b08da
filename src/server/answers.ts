import type { Digest } from "../oci/digest.ts";
import type { BlobAnswer } from "../pull/blob-answer.ts";
import { type ByteReader, ownPiece, type Span } from "../pull/bytes.ts";
import type { ManifestAnswer } from "../pull/manifests.ts";
import type { Outcome } from "../pull/outcome.ts";
import { outcomeHeaders } from "./cache-status.ts";
import { sendContent } from "./content.ts";
import type { Exchange } from "./exchange.ts";

const BLOB_MEDIA_TYPE = "application/octet-stream";

export async function sendManifest(exchange: Exchange, answer: ManifestAnswer): Promise<void> {
  const { digest, bytes, manifest, outcome } = answer;
  exchange.manifest = digest;
  await sendContent(exchange, {
    digest,
    size: bytes.length,
    mediaType: manifest.mediaType,
    headers: noted(exchange, outcome),
    isHeld: true,
    open: async ({ end }: Span) => memoryReader(bytes, end),
    bytes,
  });
}

/** Closes the blob. */
export async function sendBlob(exchange: Exchange, blob: BlobAnswer): Promise<void> {
  try {
    await sendContent(exchange, {
      digest: blob.digest,
      size: blob.size,
      mediaType: BLOB_MEDIA_TYPE,
      headers: noted(exchange, blob.outcome),
      isHeld: blob.isHeld,
      open: async (span: Span) => await blob.open(span),
      bytes: blob.bytes,
    });
  } finally {
    await blob.close();
  }
}

export async function sendBlobHead(
  exchange: Exchange,
  digest: Digest,
  { size, outcome }: { size: number; outcome: Outcome },
): Promise<void> {
  const headers = noted(exchange, outcome);
  const content = { digest, size, mediaType: BLOB_MEDIA_TYPE, headers, isHeld: true, open: neverOpened };
  await sendContent(exchange, content);
}

/** The headers that tell what happened; the log is told too. */
export function noted(exchange: Exchange, outcome: Outcome): Record<string, string> {
  exchange.notes.outcome = outcome.kind === "stale" ? `stale-${outcome.reason}` : outcome.kind;
  return outcomeHeaders(outcome);
}

function memoryReader(bytes: Uint8Array, end: number): ByteReader {
  return {
    next: async (position) => (position >= end ? undefined : ownPiece(bytes.subarray(position, end))),
    close: async () => undefined,
  };
}

async function neverOpened(): Promise<ByteReader> {
  throw new Error("HEAD has no body");
}
