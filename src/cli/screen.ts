import type { Output } from "./terminal.ts";

/** Of a terminal that does not say. */
const COLUMNS = 80;
const ROWS = 24;
/** Terminals keep what stood there before, and bring it back (xterm's control sequences). */
const OTHER_SCREEN = "\u001b[?1049h\u001b[?25l";
const OWN_SCREEN = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";

/** The whole of a terminal, written anew again and again; what stood there comes back at the end. */
export class Screen {
  readonly #out: Output;
  #lines: string[] = [];
  #isOpen = false;

  constructor(out: Output) {
    this.#out = out;
  }

  open(): void {
    this.#isOpen = true;
    this.#out.write(OTHER_SCREEN + HOME + CLEAR_BELOW);
  }

  /** The last line and column stay empty: a terminal would scroll. */
  show(linesOf: (paper: { readonly width: number; readonly height: number }) => string[]): void {
    const width = Math.max(1, (this.#out.columns?.() ?? COLUMNS) - 1);
    const height = Math.max(1, (this.#out.rows?.() ?? ROWS) - 1);
    this.#lines = linesOf({ width, height });
    this.#out.write(HOME + this.#lines.map((line) => `${line}${CLEAR_LINE}\n`).join("") + CLEAR_BELOW);
  }

  /** What was shown last stays to be read. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#out.write(OWN_SCREEN + this.#lines.map((line) => `${line}\n`).join(""));
  }
}
