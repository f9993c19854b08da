import { growingCache } from "../lib/growing-cache.ts";

/** So many wrong passwords are a person's, and are answered at once. */
const FREE_GUESSES = 5;
/** The pause after the next one; it doubles with each. Milliseconds. */
const PAUSE_MS = 1_000;
const PAUSE_MS_MAX = 5 * 60_000;
/** After so long without a guess all is forgotten. */
const FORGOTTEN_MS = 15 * 60_000;
/** Addresses that are remembered; who has more of them gets around this, and still pays a hash for each guess. */
const GUESSERS_MAX = 10_000;

interface Guesser {
  count: number;
  lastMs: number;
}

/** Makes guessing passwords slow, by the address that they come from. Times are of a monotonic clock, milliseconds. */
export class Guesses {
  readonly #guessers = growingCache<string, Guesser>(GUESSERS_MAX);

  /** How long the address has to wait before its next password is looked at; 0 where it may ask. */
  waitMs(address: string, nowMs: number): number {
    const guesser = this.#known(address, nowMs);
    if (guesser === undefined || guesser.count < FREE_GUESSES) return 0;
    const pauseMs = Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** (guesser.count - FREE_GUESSES));
    return Math.max(0, guesser.lastMs + pauseMs - nowMs);
  }

  /** A wrong one. Says how many that makes. */
  wrong(address: string, nowMs: number): number {
    const count = (this.#known(address, nowMs)?.count ?? 0) + 1;
    this.#guessers.set(addressKey(address), { count, lastMs: nowMs });
    return count;
  }

  /** A right one: whoever it is, it is no guesser. */
  right(address: string): void {
    this.#guessers.delete(addressKey(address));
  }

  #known(address: string, nowMs: number): Guesser | undefined {
    const guesser = this.#guessers.get(addressKey(address));
    return guesser !== undefined && nowMs - guesser.lastMs < FORGOTTEN_MS ? guesser : undefined;
  }
}

/** Whoever has one address of IPv6 has the 2^64 of its network. */
function addressKey(address: string): string {
  if (!address.includes(":") || address.startsWith("::ffff:")) return address;
  const [head = "", tail] = address.split("::", 2);
  const groups = head.split(":").filter((group) => group !== "");
  const missing = 8 - groups.length - (tail ?? "").split(":").filter((group) => group !== "").length;
  return [...groups, ...Array.from({ length: tail === undefined ? 0 : missing }, () => "0")].slice(0, 4).join(":");
}
