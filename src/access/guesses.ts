import { createHash } from "node:crypto";
import { growingCache } from "../lib/growing-cache.ts";
import { RegistryError } from "../oci/errors.ts";

/** So many wrong passwords for one user are a person's, and are answered at once; so many for several are a few persons'. */
const FREE_OF_USER = 5;
const FREE_OF_ADDRESS = 25;
/** The pause after the next one; it doubles with each. Milliseconds. */
const PAUSE_MS = 1_000;
const PAUSE_MS_MAX = 5 * 60_000;
/** After so long without a guess all is forgotten. */
const FORGOTTEN_MS = 15 * 60_000;
/** Addresses and their users that are remembered; who has more of them gets around this, and still pays a hash for each guess. */
const GUESSERS_MAX = 20_000;

interface Guesser {
  readonly count: number;
  readonly lastMs: number;
}

/**
 * Makes guessing passwords slow, by the address that they come from, and by the user that they are for: others behind the same
 * address are not locked out by somebody's old password. Times are of a monotonic clock, milliseconds.
 */
export class Guesses {
  readonly #guessers = growingCache<string, Guesser>(GUESSERS_MAX);

  /** How long the next password has to wait before it is looked at; 0 where it need not. */
  waitMs(address: string, user: string, nowMs: number): number {
    const [all, one] = keysOf(address, user);
    return Math.max(this.#wait(all, FREE_OF_ADDRESS, nowMs), this.#wait(one, FREE_OF_USER, nowMs));
  }

  /** Rejects with 429 whoever has to wait. */
  assertMay(address: string, user: string, nowMs: number): void {
    const waitMs = this.waitMs(address, user, nowMs);
    if (waitMs === 0) return;
    const message = "too many wrong passwords came from your address; wait and try again";
    throw new RegistryError(429, "TOOMANYREQUESTS", message, { retryAfterS: Math.ceil(waitMs / 1000) });
  }

  /** A wrong one. Says how many came from the address by now. */
  wrong(address: string, user: string, nowMs: number): number {
    const counts = keysOf(address, user).map((key) => {
      const count = (this.#known(key, nowMs)?.count ?? 0) + 1;
      this.#guessers.set(key, { count, lastMs: nowMs });
      return count;
    });
    return counts[0] ?? 0;
  }

  /** A right one: this user is no guesser. What was tried for others still counts. */
  right(address: string, user: string): void {
    this.#guessers.delete(keysOf(address, user)[1]);
  }

  #wait(key: string, free: number, nowMs: number): number {
    const guesser = this.#known(key, nowMs);
    if (guesser === undefined || guesser.count < free) return 0;
    const pauseMs = Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** (guesser.count - free));
    return Math.max(0, guesser.lastMs + pauseMs - nowMs);
  }

  #known(key: string, nowMs: number): Guesser | undefined {
    const guesser = this.#guessers.get(key);
    return guesser !== undefined && nowMs - guesser.lastMs < FORGOTTEN_MS ? guesser : undefined;
  }
}

/** Of the address, and of the user there: of one size, whatever somebody takes for a user's name. */
export function keysOf(address: string, user: string): [string, string] {
  const key = addressKey(address);
  return [key, `${key} ${createHash("sha256").update(user).digest("base64")}`];
}

/** Whoever has one address of IPv6 has the 2^64 of its network. */
export function addressKey(address: string): string {
  if (!address.includes(":") || address.startsWith("::ffff:")) return address;
  const [head = "", tail] = address.split("::", 2);
  const groups = head.split(":").filter((group) => group !== "");
  const missing = 8 - groups.length - (tail ?? "").split(":").filter((group) => group !== "").length;
  return [...groups, ...Array.from({ length: tail === undefined ? 0 : missing }, () => "0")].slice(0, 4).join(":");
}
