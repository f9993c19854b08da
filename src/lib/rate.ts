/** How long is looked back, at least; at most twice as long. */
const WINDOW_MS = 2_000;

interface Mark {
  readonly atMs: number;
  readonly total: number;
}

/** How fast a sum grows, over the last seconds. Times are milliseconds of any clock that does not go back. */
export class Rate {
  #before: Mark | undefined;
  #mark: Mark | undefined;
  #total = 0;

  add(amount: number, nowMs: number): void {
    this.#turn(nowMs);
    this.#total += amount;
  }

  perSecond(nowMs: number): number {
    this.#turn(nowMs);
    const since = this.#before ?? this.#mark;
    if (since === undefined || nowMs <= since.atMs) return 0;
    return Math.round(((this.#total - since.total) * 1000) / (nowMs - since.atMs));
  }

  #turn(nowMs: number): void {
    if (this.#mark !== undefined && nowMs - this.#mark.atMs < WINDOW_MS) return;
    // What was added after the mark was so within a window of it: where that is long ago, nothing has been since.
    const isLongAgo = this.#mark !== undefined && nowMs - this.#mark.atMs >= 2 * WINDOW_MS;
    this.#before = isLongAgo ? undefined : this.#mark;
    this.#mark = { atMs: nowMs, total: this.#total };
  }
}
