/** What may come at once after a rest, as a time at the full rate, and at least. */
const BURST_MS = 100;
const BURST_BYTES_MIN = 64 * 1024;
/** The shortest time between two looks at the queue. */
const TICK_MS = 10;

/** A piece that waits, and what is done when it may go on. */
interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
}

/**
 * So many bytes a second over all transfers of an upstream: a bucket that pieces are taken from. One that is larger than what is there goes on
 * all the same and leaves a debt, so that no piece has to be cut. Each transfer has one piece here at most, and they take turns:
 * none of them gets ahead of the others.
 */
export class Bandwidth {
  readonly #bytesPerSecond: number;
  readonly #burstBytes: number;
  readonly #nowMs: () => number;
  readonly #waiting = new Set<Waiting>();
  #bytes: number;
  #filledMs: number;
  #timer: NodeJS.Timeout | undefined;

  /** `nowMs` is a monotonic clock. */
  constructor(bytesPerSecond: number, nowMs: () => number) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#burstBytes = Math.max(BURST_BYTES_MIN, (bytesPerSecond * BURST_MS) / 1000);
    this.#nowMs = nowMs;
    this.#bytes = this.#burstBytes;
    this.#filledMs = nowMs();
  }

  /** True where the piece may go on at once; else `go` is called when it may. */
  take(waiting: Waiting): boolean {
    this.#fill();
    if (this.#waiting.size === 0 && this.#bytes > 0) {
      this.#bytes -= waiting.bytes;
      return true;
    }
    this.#waiting.add(waiting);
    this.#schedule();
    return false;
  }

  /** Whoever waits no more takes nothing from the others. */
  leave(waiting: Waiting): void {
    this.#waiting.delete(waiting);
    if (this.#waiting.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #fill(): void {
    const nowMs = this.#nowMs();
    const added = (Math.max(0, nowMs - this.#filledMs) / 1000) * this.#bytesPerSecond;
    this.#bytes = Math.min(this.#burstBytes, this.#bytes + added);
    this.#filledMs = nowMs;
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#waiting.size === 0) return;
    const waitMs = Math.max(TICK_MS, Math.ceil(((1 - this.#bytes) / this.#bytesPerSecond) * 1000));
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#fill();
      for (const waiting of this.#waiting) {
        if (this.#bytes <= 0) break;
        this.#waiting.delete(waiting);
        this.#bytes -= waiting.bytes;
        waiting.go();
      }
      this.#schedule();
    }, waitMs);
  }
}
