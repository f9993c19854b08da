import { type TestContext, test } from "node:test";
import type { HasAfter } from "../../support/temp.ts";

/**
 * The long form, which `make faults` runs: faults in full number and size, with the budgets judged, and with real programs
 * beside the fake ones. The short form is a part of `make test`: the same faults, small, and with bounds so generous that
 * a busy machine cannot break them.
 */
export const isLong = process.env["FAULTS"] === "long";

/** What differs between the two forms. */
export function inForm<T>(form: { readonly short: T; readonly long: T }): T {
  return isLong ? form.long : form.short;
}

export interface FaultTest extends HasAfter {
  readonly name: string;
  /** A measured figure, for the table: `answered 502 after 12 ms`. */
  show(figure: string): void;
}

export interface FaultOptions {
  /** Why it cannot be tried on this machine. */
  readonly skip?: string | false;
}

/** How the two things that a row needs besides its test's name and result travel to whoever writes the table. */
export const HOLDS_MARK = "must hold: ";
export const SHOWN_MARK = "shown: ";

/** One row of `results.md`, and the test that proves it; its name begins with the group (`upstream: refused`). */
export function fault(
  name: string,
  holds: string,
  run: (t: FaultTest) => Promise<void>,
  options: FaultOptions = {},
): void {
  test(name, options, async (t: TestContext) => {
    t.diagnostic(`${HOLDS_MARK}${holds}`);
    await run({ name, show: (figure) => t.diagnostic(`${SHOWN_MARK}${figure}`), after: (end) => t.after(end) });
  });
}
