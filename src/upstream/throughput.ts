const SECOND_MS = 1_000;
/** The time over which is averaged. */
const SECONDS = 10;

/** How fast bytes have come lately. */
export class Throughput {
  readonly #nowMs: () => number;
  readonly #bytes = Array.from({ length: SECONDS }, () => 0);
  #second: number;

  /** `nowMs` is a monotonic clock. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#second = Math.floor(nowMs() / SECOND_MS);
  }

  add(bytes: number): void {
    this.#forget();
    const index = this.#second % SECONDS;
    this.#bytes[index] = (this.#bytes[index] ?? 0) + bytes;
  }

  /** Over the last ten seconds. */
  get bytesPerSecond(): number {
    this.#forget();
    return Math.round(this.#bytes.reduce((sum, bytes) => sum + bytes, 0) / SECONDS);
  }

  #forget(): void {
    const second = Math.floor(this.#nowMs() / SECOND_MS);
    if (second - this.#second >= SECONDS) this.#bytes.fill(0);
    else for (let one = this.#second + 1; one <= second; one += 1) this.#bytes[one % SECONDS] = 0;
    this.#second = Math.max(second, this.#second);
  }
}
