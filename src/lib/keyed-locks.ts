import { Changes } from "./wait.ts";

interface Lock {
  sharers: number;
  isExclusive: boolean;
  readonly changes: Changes;
}

/** Ends a hold; more than once does nothing. */
export type Release = () => void;

/**
 * By key: held by many who share it, or by one alone. Whoever wants it alone waits for the others and keeps nobody from
 * coming meanwhile: it is the one who has time.
 */
export class KeyedLocks {
  readonly #locks = new Map<string, Lock>();

  async shared(key: string, signal: AbortSignal = new AbortController().signal): Promise<Release> {
    for (;;) {
      const lock = this.#at(key);
      if (!lock.isExclusive) {
        lock.sharers += 1;
        return this.#releaseOnce(key, lock, () => (lock.sharers -= 1));
      }
      await lock.changes.next(signal);
    }
  }

  /** Undefined where somebody has it. */
  tryAlone(key: string): Release | undefined {
    const lock = this.#at(key);
    if (lock.isExclusive || lock.sharers > 0) return undefined;
    lock.isExclusive = true;
    return this.#releaseOnce(key, lock, () => (lock.isExclusive = false));
  }

  /** Rejects with the signal's reason where that comes first. */
  async alone(key: string, signal: AbortSignal = new AbortController().signal): Promise<Release> {
    for (;;) {
      const release = this.tryAlone(key);
      if (release !== undefined) return release;
      await this.#at(key).changes.next(signal);
    }
  }

  #at(key: string): Lock {
    const known = this.#locks.get(key);
    if (known !== undefined) return known;
    const lock = { sharers: 0, isExclusive: false, changes: new Changes() };
    this.#locks.set(key, lock);
    return lock;
  }

  #releaseOnce(key: string, lock: Lock, end: () => void): Release {
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      end();
      // Who waits comes back for it, and makes a new one where it is gone.
      if (lock.sharers === 0 && !lock.isExclusive) this.#locks.delete(key);
      lock.changes.notify();
    };
  }
}
