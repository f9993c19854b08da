import type { Output } from "./terminal.ts";

/** How often lines on a terminal are written anew, and one to a file is added. */
const TERMINAL_EVERY_MS = 200;
const PLAIN_EVERY_MS = 10_000;
/** A rate is that of the last seconds: one since the beginning hides that it stands still. */
const RATE_OVER_MS = 5_000;
/** Of a terminal that does not say. */
const COLUMNS = 80;
const CLEAR_BELOW = "\u001b[0J";

/** Shows how far long work is: lines that change on a terminal, one line now and then elsewhere. */
export class Progress {
  readonly #out: Output;
  readonly #lines: () => readonly string[];
  #timer: NodeJS.Timeout | undefined;
  #shown = 0;

  /** `lines` must have no line breaks; elsewhere than on a terminal only the last of them is written. */
  constructor(out: Output, lines: () => readonly string[]) {
    this.#out = out;
    this.#lines = lines;
  }

  start(): void {
    const everyMs = this.#out.isTerminal ? TERMINAL_EVERY_MS : PLAIN_EVERY_MS;
    this.#timer = setInterval(() => this.#show(), everyMs).unref();
  }

  /** Says something that stays, above the lines. */
  say(text: string): void {
    this.#out.write(`${this.#cleared()}${text}`);
  }

  stop(): void {
    clearInterval(this.#timer);
    const clear = this.#cleared();
    if (clear !== "") this.#out.write(clear);
  }

  #show(): void {
    const lines = this.#lines();
    if (!this.#out.isTerminal) {
      this.#out.write(`${lines.at(-1) ?? ""}\n`);
      return;
    }
    // A line that wraps could not be taken back.
    const width = Math.max(1, (this.#out.columns?.() ?? COLUMNS) - 1);
    const clear = this.#cleared();
    this.#out.write(clear + lines.map((line) => line.slice(0, width)).join("\n"));
    this.#shown = lines.length;
  }

  /** What takes back the lines that stand there; the cursor is at the beginning of the first of them then. */
  #cleared(): string {
    const up = "\u001b[1A".repeat(Math.max(0, this.#shown - 1));
    const clear = this.#shown === 0 ? "" : `\r${up}${CLEAR_BELOW}`;
    this.#shown = 0;
    return clear;
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
