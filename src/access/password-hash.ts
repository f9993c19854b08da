import { argon2, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import type { BcryptVerifier } from "./bcrypt.ts";

/** What a password file may hold for a user. */
export type PasswordHash =
  | { readonly kind: "bcrypt"; readonly text: string }
  | ({ readonly kind: "argon2"; readonly text: string } & Argon2Hash);

interface Argon2Hash {
  readonly algorithm: "argon2i" | "argon2d" | "argon2id";
  /** KiB. */
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
  readonly salt: Buffer;
  readonly tag: Buffer;
}

/** What htpasswd, Traefik and nginx write with `-B`; the cost is the two digits. */
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
/** Sixteen would take seconds a password: enough to hold everybody up with a few wrong ones. */
const BCRYPT_COST_MAX = 15;
const BCRYPT_COST_MIN = 4;
/** The form that the reference implementation prints. */
const ARGON2 = /^\$(argon2(?:i|d|id))\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;
/** 256 MiB: several may be looked at at once. */
const ARGON2_MEMORY_KIB_MAX = 256 * 1024;
const ARGON2_PASSES_MAX = 20;
/** RFC 9106, section 3.1. */
const ARGON2_SALT_BYTES_MIN = 8;
const ARGON2_TAG_BYTES_MIN = 4;

/** A hash, or what is wrong with it. */
export function parsePasswordHash(text: string): PasswordHash | { readonly problem: string } {
  const cost = BCRYPT.exec(text)?.[1];
  if (cost !== undefined) {
    if (Number(cost) < BCRYPT_COST_MIN)
      return { problem: `has a bcrypt cost of ${cost}, less than ${BCRYPT_COST_MIN}` };
    if (Number(cost) <= BCRYPT_COST_MAX) return { kind: "bcrypt", text };
    return { problem: `has a bcrypt cost of ${cost}, more than ${BCRYPT_COST_MAX}` };
  }
  const [, algorithm, memory, passes, parallelism, salt, tag] = ARGON2.exec(text) ?? [];
  if (algorithm !== undefined && salt !== undefined && tag !== undefined) {
    if (Number(memory) > ARGON2_MEMORY_KIB_MAX || Number(passes) > ARGON2_PASSES_MAX) {
      return { problem: `wants more than ${ARGON2_MEMORY_KIB_MAX} KiB or ${ARGON2_PASSES_MAX} passes of argon2` };
    }
    const [saltBytes, tagBytes] = [Buffer.from(salt, "base64"), Buffer.from(tag, "base64")];
    const isWhole = saltBytes.length >= ARGON2_SALT_BYTES_MIN && tagBytes.length >= ARGON2_TAG_BYTES_MIN;
    const isPossible = Number(passes) > 0 && Number(parallelism) > 0 && Number(memory) >= 8 * Number(parallelism);
    if (!isWhole || !isPossible) return { problem: "has parameters that argon2 does not know (RFC 9106)" };
    return {
      kind: "argon2",
      text,
      algorithm: algorithm as Argon2Hash["algorithm"],
      memory: Number(memory),
      passes: Number(passes),
      parallelism: Number(parallelism),
      salt: saltBytes,
      tag: tagBytes,
    };
  }
  if (/^\$(?:apr1|1)\$|^\{SHA\}/.test(text)) return { problem: "is MD5 or SHA-1, which anybody can guess" };
  return { problem: "is neither a bcrypt hash nor one of argon2" };
}

const argon2Async = promisify(argon2);

/** Takes tens of milliseconds, in another thread. */
export async function matchesHash(hash: PasswordHash, password: string, bcrypt: BcryptVerifier): Promise<boolean> {
  if (hash.kind === "bcrypt") return await bcrypt.matches(hash.text, password);
  const { algorithm, memory, passes, parallelism, salt: nonce, tag } = hash;
  const options = { message: password, nonce, parallelism, tagLength: tag.length, memory, passes };
  return timingSafeEqual(await argon2Async(algorithm, options), tag);
}
