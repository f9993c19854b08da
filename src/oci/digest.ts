import { createHash, type Hash } from "node:crypto";

/** A checked content digest, `sha256:<64 hex>` or `sha512:<128 hex>` (image-spec, descriptor.md#digests). */
export type Digest = string & { readonly __brand: "Digest" };

export type DigestAlgorithm = "sha256" | "sha512";

const HEX_LENGTH: Record<DigestAlgorithm, number> = { sha256: 64, sha512: 128 };
const DIGEST = /^(sha256|sha512):([a-f0-9]+)$/;

/** Returns the digest, or undefined where the text is not one that we can verify. */
export function parseDigest(text: string): Digest | undefined {
  const match = DIGEST.exec(text);
  if (match === null) return undefined;
  const [, algorithm, hex] = match as unknown as [string, DigestAlgorithm, string];
  return hex.length === HEX_LENGTH[algorithm] ? (text as Digest) : undefined;
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.slice(0, digest.indexOf(":")) as DigestAlgorithm;
}

export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(":") + 1);
}

/** A running hash of the digest's own algorithm. */
export function hasherFor(digest: Digest): Hash {
  return createHash(digestAlgorithm(digest));
}

/** Turns a finished hash into the digest it stands for; the hash cannot be used afterwards. */
export function finishDigest(algorithm: DigestAlgorithm, hash: Hash): Digest {
  return `${algorithm}:${hash.digest("hex")}` as Digest;
}

export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = "sha256"): Digest {
  return finishDigest(algorithm, createHash(algorithm).update(bytes));
}
