import { setTimeout as delay } from "node:timers/promises";

/** A line of so many bytes a second that all who use it share, first come, first served. */
export class Pace {
  readonly #msPerByte: number;
  readonly #burstMs: number;
  /** When the line is free again. */
  #freeAt = 0;

  constructor(bytesPerSecond: number, burstMs: number) {
    this.#msPerByte = 1000 / bytesPerSecond;
    this.#burstMs = burstMs;
  }

  /** Resolves when that many bytes may go. */
  async take(bytes: number, now = performance.now()): Promise<void> {
    const waitMs = this.reserve(bytes, now);
    if (waitMs > 1) await delay(waitMs);
  }

  /** For how long, in ms, these bytes have to wait. Timers are late: what they slept too long is caught up with. */
  reserve(bytes: number, now: number): number {
    const from = Math.max(this.#freeAt, now - this.#burstMs);
    this.#freeAt = from + bytes * this.#msPerByte;
    return Math.max(0, this.#freeAt - now);
  }
}
