import { LRUCache } from "lru-cache";
import { RegistryError } from "../oci/errors.ts";
import { basicCredentials } from "./authorization.ts";
import { PasswordKeys } from "./password-key.ts";
import type { Offered } from "./passwords.ts";

/** Shorter than the owner's: whatever happens to a message, a user who was removed is out after that. */
const KNOWN_MS = 60_000;
const KNOWN_MAX = 10_000;

/** What a process that has no users itself was told by the one that has them. */
export class KnownPasswords {
  readonly #keys = new PasswordKeys();
  readonly #known = new LRUCache<string, true>({ maxSize: KNOWN_MAX, sizeCalculation: () => 1, ttl: KNOWN_MS });

  /** The owner has found the header's password right. */
  remember(authorization: string | undefined): void {
    const offered = basicCredentials(authorization);
    if (offered !== undefined) this.#known.set(this.#keys.of(offered), true);
  }

  /** The users have changed. */
  forget(): void {
    this.#known.clear();
  }

  /** Rejects with a `RegistryError` where only the owner knows. */
  async isRight(offered: Pick<Offered, "user" | "password">): Promise<boolean> {
    if (this.#known.get(this.#keys.of(offered)) === true) return true;
    throw new RegistryError(503, "UNAVAILABLE", "this process knows no passwords");
  }
}
