import { LRUCache } from "lru-cache";
import pLimit from "p-limit";
import { SingleFlight } from "../lib/single-flight.ts";
import { RegistryError } from "../oci/errors.ts";
import { BcryptVerifier } from "./bcrypt.ts";
import { addressKey, Guesses } from "./guesses.ts";
import type { Users } from "./htpasswd.ts";
import { PasswordKeys } from "./password-key.ts";
import { PASSWORD_BYTES_MAX } from "./password-length.ts";
import { matchesHash, parsePasswordHash, type PasswordHash } from "./password-hash.ts";

/** For how long a password that was right, or wrong, is not looked at again since it was used last. */
const RIGHT_MS = 5 * 60_000;
const WRONG_MS = 10_000;
const REMEMBERED_MAX = 10_000;
/** Passwords that are looked at, and that wait for it. */
const AT_ONCE = 2;
const WAITING_MAX = 100;
/** Of one address: others shall not wait for what somebody tries. */
const OF_ADDRESS_MAX = 5;

/** What was said of who is asking. */
export interface Offered {
  readonly user: string;
  readonly password: string;
  /** Where it comes from. */
  readonly address: string;
}

interface Known {
  readonly user: string;
  readonly isRight: boolean;
}

/**
 * Knows whether a password is right. A hash is slow by design, so that each password is looked at once and remembered, as a
 * keyed hash of its own; who guesses is slowed down.
 */
export class Passwords {
  readonly #keys = new PasswordKeys();
  readonly #known = new LRUCache<string, Known>({ maxSize: REMEMBERED_MAX, sizeCalculation: () => 1 });
  readonly #flights = new SingleFlight<boolean>();
  readonly #underWay = new Map<string, number>();
  readonly #guesses = new Guesses();
  readonly #bcrypt = new BcryptVerifier();
  readonly #limit = pLimit(AT_ONCE);
  readonly #onGuessing: (address: string, count: number) => void;
  #users: Users;

  /** `onGuessing` hears of each wrong password. */
  constructor(users: Users, onGuessing: (address: string, count: number) => void) {
    this.#users = users;
    this.#onGuessing = onGuessing;
  }

  get names(): string[] {
    return [...this.#users.keys()];
  }

  has(user: string): boolean {
    return this.#users.has(user);
  }

  /** Other users from now on. Whose hash is as it was has the password as it was. */
  replace(users: Users): void {
    for (const [key, { user, isRight }] of this.#known.entries()) {
      if (!isRight || users.get(user)?.text !== this.#users.get(user)?.text) this.#known.delete(key);
    }
    this.#users = users;
  }

  /** Rejects with a `RegistryError`: 429 for who guesses, 503 with too many at once. */
  async isRight(offered: Offered): Promise<boolean> {
    const { user, address } = offered;
    const users = this.#users;
    const key = this.#keys.of(offered);
    const known = this.#known.get(key, { updateAgeOnGet: true });
    if (known !== undefined) return known.isRight;
    this.#guesses.assertMay(address, user, performance.now());
    const { result, joined } = this.#flights.run(key, performance.now(), () => this.#look(offered, users));
    const isRight = await result;
    if (joined) return isRight;
    // Others may count by now.
    if (users === this.#users) this.#known.set(key, { user, isRight }, { ttl: isRight ? RIGHT_MS : WRONG_MS });
    if (isRight) this.#guesses.right(address, user);
    else this.#onGuessing(address, this.#guesses.wrong(address, user, performance.now()));
    return isRight;
  }

  async stop(): Promise<void> {
    await this.#bcrypt.stop();
  }

  /** Whoever does not exist takes as long as who does. */
  async #look({ user, password, address }: Offered, users: Users): Promise<boolean> {
    if (password.includes("\0") || Buffer.byteLength(password) > PASSWORD_BYTES_MAX) return false;
    const from = addressKey(address);
    const underWay = this.#underWay.get(from) ?? 0;
    if (underWay >= OF_ADDRESS_MAX || this.#limit.pendingCount >= WAITING_MAX) {
      throw new RegistryError(503, "UNAVAILABLE", "too many passwords wait to be looked at", { retryAfterS: 2 });
    }
    this.#underWay.set(from, underWay + 1);
    try {
      const hash = users.get(user);
      const isRight = await this.#limit(() => matchesHash(hash ?? likeOf(users), password, this.#bcrypt));
      return isRight && hash !== undefined;
    } finally {
      const left = (this.#underWay.get(from) ?? 1) - 1;
      if (left > 0) this.#underWay.set(from, left);
      else this.#underWay.delete(from);
    }
  }
}

/** Some user's hash, by which everybody's time is the same as long as all were made alike. */
function likeOf(users: Users): PasswordHash {
  const [first] = users.values();
  return first ?? (parsePasswordHash(NOBODY) as PasswordHash);
}

/** bcrypt of a random text, with the cost that `user add` has. */
const NOBODY = "$2b$10$abcdefghijklmnopqrstuuJjXvV8V0Y4l0Zp3p1Yx0n5o5bJ9c9dK";
