import { abortedError } from "./aborts.ts";
import { type Places, UpstreamError } from "./upstream.ts";

/** How many callers may wait for a slot or for their turn; one more is told `overloaded` at once. */
export const QUEUE_MAX = 1000;

/** Called when it is the waiter's turn. */
type Waiter = () => void;

/** At most so many at once, the others in a bounded queue, first come, first served. */
export class Slots {
  readonly #max: number;
  readonly #what: string;
  readonly #waiting = new Set<Waiter>();
  #taken = 0;

  /** `what` is for messages: `questions to ghcr.io`. */
  constructor(max: number, what: string) {
    this.#max = max;
    this.#what = what;
  }

  get taken(): number {
    return this.#taken;
  }

  get places(): Places {
    return { running: this.#taken, waiting: this.#waiting.size };
  }

  get isFull(): boolean {
    return this.#taken >= this.#max;
  }

  /**
   * Resolves to the function that gives the slot back; calling it again does nothing.
   * @throws UpstreamError `overloaded`, `aborted`
   */
  async take(signal: AbortSignal): Promise<() => void> {
    if (signal.aborted) throw abortedError(signal);
    if (this.#taken < this.#max) this.#taken += 1;
    else await waitIn(this.#waiting, `too many ${this.#what}`, signal);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#giveBack();
    };
  }

  /** A slot goes straight to the next in the queue, so nobody can slip in between. */
  #giveBack(): void {
    const next = takeFirst(this.#waiting);
    if (next === undefined) this.#taken -= 1;
    else next();
  }
}

/** At most so many starts a second, with bursts of as many as a second allows. A token bucket that wakes its own queue. */
export class Pace {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #what: string;
  readonly #nowMs: () => number;
  readonly #waiting = new Set<Waiter>();
  #tokens: number;
  #filledMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(perSecond: number, what: string, nowMs: () => number) {
    this.#perSecond = perSecond;
    this.#burst = Math.max(1, Math.floor(perSecond));
    this.#what = what;
    this.#nowMs = nowMs;
    this.#tokens = this.#burst;
    this.#filledMs = nowMs();
  }

  /** @throws UpstreamError `overloaded`, `aborted` */
  async turn(signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw abortedError(signal);
    this.#fill();
    if (this.#waiting.size === 0 && this.#tokens >= 1) {
      this.#tokens -= 1;
      return;
    }
    const turn = waitIn(this.#waiting, `too many ${this.#what}`, signal);
    this.#schedule();
    await turn;
  }

  #fill(): void {
    const nowMs = this.#nowMs();
    const added = ((nowMs - this.#filledMs) / 1000) * this.#perSecond;
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, added));
    this.#filledMs = nowMs;
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#waiting.size === 0) return;
    const waitMs = Math.max(1, Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1000));
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#fill();
      while (this.#tokens >= 1) {
        const next = takeFirst(this.#waiting);
        if (next === undefined) break;
        this.#tokens -= 1;
        next();
      }
      this.#schedule();
    }, waitMs);
  }
}

function takeFirst(waiting: Set<Waiter>): Waiter | undefined {
  for (const waiter of waiting) {
    waiting.delete(waiter);
    return waiter;
  }
  return undefined;
}

function waitIn(waiting: Set<Waiter>, full: string, signal: AbortSignal): Promise<void> {
  if (waiting.size >= QUEUE_MAX) return Promise.reject(new UpstreamError("overloaded", full));
  return new Promise((resolve, reject) => {
    const leave = () => {
      waiting.delete(waiter);
      reject(abortedError(signal));
    };
    const waiter: Waiter = () => {
      signal.removeEventListener("abort", leave);
      resolve();
    };
    signal.addEventListener("abort", leave, { once: true });
    waiting.add(waiter);
  });
}
