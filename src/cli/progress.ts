import type { Output } from "./terminal.ts";

/** How often a line on a terminal is written anew, and one to a file is added. */
const TERMINAL_EVERY_MS = 200;
const PLAIN_EVERY_MS = 10_000;
/** A rate is that of the last seconds: one since the beginning hides that it stands still. */
const RATE_OVER_MS = 5_000;
/** Of a terminal that does not say. */
const COLUMNS = 80;
const CLEAR_LINE = "\r\u001b[2K";

/** Shows how far long work is: one line that changes on a terminal, a line now and then elsewhere. */
export class Progress {
  readonly #out: Output;
  readonly #line: () => string;
  #timer: NodeJS.Timeout | undefined;
  #isShown = false;

  /** `line` must have no line break. */
  constructor(out: Output, line: () => string) {
    this.#out = out;
    this.#line = line;
  }

  start(): void {
    const everyMs = this.#out.isTerminal ? TERMINAL_EVERY_MS : PLAIN_EVERY_MS;
    this.#timer = setInterval(() => this.#show(), everyMs).unref();
  }

  /** Says something that stays, above the line. */
  say(text: string): void {
    this.#clear();
    this.#out.write(text);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#clear();
  }

  #show(): void {
    const line = this.#line();
    if (!this.#out.isTerminal) {
      this.#out.write(`${line}\n`);
      return;
    }
    // A line that wraps could not be taken back.
    this.#out.write(`${CLEAR_LINE}${line.slice(0, Math.max(1, (this.#out.columns?.() ?? COLUMNS) - 1))}`);
    this.#isShown = true;
  }

  #clear(): void {
    if (this.#isShown) this.#out.write(CLEAR_LINE);
    this.#isShown = false;
  }
}

/** How fast something grows. */
export class Rate {
  readonly #samples: { readonly atMs: number; readonly value: number }[] = [];

  /** Per second, over the last seconds. */
  at(nowMs: number, value: number): number {
    this.#samples.push({ atMs: nowMs, value });
    while (this.#samples.length > 2 && nowMs - (this.#samples[1]?.atMs ?? nowMs) > RATE_OVER_MS) this.#samples.shift();
    const first = this.#samples[0];
    if (first === undefined || nowMs <= first.atMs) return 0;
    return ((value - first.value) * 1000) / (nowMs - first.atMs);
  }
}
