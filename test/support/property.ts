import { randomInt } from "node:crypto";
import * as fc from "fast-check";

/** For how long each property is tried, seconds; without it, as often as the test says. `make fuzz` sets it. */
const budgetS = numberFrom("FUZZ_SECONDS");
/** As a failure prints it, so that the very same values come again. */
const seed = numberFrom("FUZZ_SEED") ?? randomInt(2 ** 31);

const RUNS_DEFAULT = 100;
/** More than any budget allows. */
const RUNS_MAX = 1_000_000_000;

if (budgetS !== undefined) process.stderr.write(`FUZZ_SEED=${seed}\n`);

/** Tries a property with random values: fast-check's `assert` with the budget of this run. */
export function prove<T>(property: fc.IProperty<T>, runs?: number): void;
export function prove<T>(property: fc.IAsyncProperty<T>, runs?: number): Promise<void>;
export function prove<T>(property: fc.IRawProperty<T>, runs = RUNS_DEFAULT): void | Promise<void> {
  const budget =
    budgetS === undefined ? { numRuns: runs } : { numRuns: RUNS_MAX, interruptAfterTimeLimit: budgetS * 1000 };
  return fc.assert(property as fc.IAsyncProperty<T>, { seed, ...budget });
}

function numberFrom(variable: string): number | undefined {
  const text = process.env[variable];
  if (text === undefined || text === "") return undefined;
  if (!/^\d+$/.test(text)) throw new Error(`${variable} is no number: ${text}`);
  return Number(text);
}

/** A text that somebody could have meant, with some places of it changed, doubled, left out, or put elsewhere. */
export function nearly(texts: readonly string[], alphabet = fc.string({ maxLength: 4, unit: "binary" })) {
  const edit = fc.record({ at: fc.nat(1000), remove: fc.nat(4), insert: alphabet, copyTo: fc.option(fc.nat(1000)) });
  return fc
    .tuple(fc.constantFrom(...texts), fc.array(edit, { maxLength: 4 }))
    .map(([text, edits]) => edits.reduce((changed, one) => edited(changed, one), text));
}

interface Edit {
  readonly at: number;
  readonly remove: number;
  readonly insert: string;
  readonly copyTo: number | null;
}

function edited(text: string, { at, remove, insert, copyTo }: Edit): string {
  const from = at % (text.length + 1);
  const changed = text.slice(0, from) + insert + text.slice(from + remove);
  if (copyTo === null) return changed;
  const to = copyTo % (changed.length + 1);
  return changed.slice(0, to) + changed.slice(from, from + remove) + changed.slice(to);
}
