import type { HasAfter } from "./temp.ts";

/** Cleans up after several tests as a test's context does after one: `after(async () => await life.end())`. */
export class Life implements HasAfter {
  readonly #ends: (() => Promise<void>)[] = [];

  after(run: () => Promise<void>): void {
    this.#ends.unshift(run);
  }

  async end(): Promise<void> {
    for (const run of this.#ends) await run();
  }
}
