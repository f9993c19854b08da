import { setTimeout as pause } from "node:timers/promises";

/** Time that was not used is made up for as far as this, milliseconds: a busy disk must not bring a burst about. */
const MADE_UP_MS_MAX = 1_000;

export interface PaceClock {
  /** Monotonic, milliseconds. */
  now(): number;
  /** Rejects with the signal's reason. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

/** Keeps work below so many bytes a second. */
export class Pace {
  readonly #bytesPerMs: number;
  readonly #clock: PaceClock;
  /** When the bytes until now are paid for. */
  #paidUntilMs = -Infinity;

  constructor(bytesPerSecond: number, clock: PaceClock = SYSTEM_CLOCK) {
    this.#bytesPerMs = bytesPerSecond / 1_000;
    this.#clock = clock;
  }

  /** To be waited for after so many bytes. Other work has its turn in any case. */
  async after(bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const nowMs = this.#clock.now();
    this.#paidUntilMs = Math.max(this.#paidUntilMs, nowMs - MADE_UP_MS_MAX) + bytes / this.#bytesPerMs;
    await this.#clock.wait(Math.max(0, this.#paidUntilMs - nowMs), signal);
  }
}

const SYSTEM_CLOCK: PaceClock = {
  now: () => performance.now(),
  wait: async (ms, signal) => {
    try {
      await pause(ms, undefined, { signal });
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    }
  },
};
