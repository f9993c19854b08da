import { createCipheriv, createHash } from "node:crypto";
import type { Digest } from "../../src/oci/digest.ts";

/** Zeros are enciphered in pieces of this size, so that 256 MiB of content cost 256 MiB and no more. */
const PIECE_BYTES = 1024 * 1024;

/** Bytes that no compressor makes smaller, and always the same ones for a seed (AES-256-CTR over zeros). */
export function seededBytes(size: number, seed: number | string = 0): Buffer {
  const key = createHash("sha256").update(String(seed)).digest();
  const cipher = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  const bytes = Buffer.allocUnsafe(size);
  const zeros = Buffer.alloc(Math.min(size, PIECE_BYTES));
  for (let at = 0; at < size; at += PIECE_BYTES) {
    cipher.update(zeros.subarray(0, Math.min(PIECE_BYTES, size - at))).copy(bytes, at);
  }
  return bytes;
}

/** `sha256:<hex>` of the bytes, made without the code under test. */
export function sha256(bytes: Uint8Array): Digest {
  return hashOf("sha256", bytes);
}

/** `sha512:<hex>` of the bytes, made without the code under test. */
export function sha512(bytes: Uint8Array): Digest {
  return hashOf("sha512", bytes);
}

function hashOf(algorithm: "sha256" | "sha512", bytes: Uint8Array): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}` as Digest;
}
