import { createHash, timingSafeEqual } from "node:crypto";
import type { SecretPath } from "../config/config.ts";
import type { Principal } from "./principal.ts";

/** `/t/<token>` before everything else, for clients that can send no credentials (Docker's `registry-mirrors`). */
const SECRET_PATH = /^\/t\/([^/]*)(\/.*)?$/;

/** A request's path without its secret. */
export interface SplitPath {
  readonly secret: string | undefined;
  readonly path: string;
}

export function splitSecret(path: string): SplitPath {
  if (!path.startsWith("/t/")) return { secret: undefined, path };
  const [, secret, rest] = SECRET_PATH.exec(path) ?? [];
  return secret === undefined ? { secret: undefined, path } : { secret, path: rest ?? "/" };
}

/** The secret paths that are configured; compared as hashes, so that the time says nothing about a guess. */
export class SecretPaths {
  readonly #known: readonly { readonly hash: Buffer; readonly principal: Principal }[];

  constructor(paths: readonly SecretPath[]) {
    this.#known = paths.map(({ name, token }) => ({ hash: hashOf(token), principal: { name, method: "path" } }));
  }

  /** All are looked at, whichever it is. */
  principal(secret: string): Principal | undefined {
    const asked = hashOf(secret);
    return this.#known.reduce<Principal | undefined>(
      (found, { hash, principal }) => (timingSafeEqual(hash, asked) ? principal : found),
      undefined,
    );
  }
}

function hashOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
