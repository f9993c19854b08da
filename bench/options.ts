import { parseArgs } from "node:util";

/** What `make bench ARGS="..."` may say. */
export interface Options {
  /** Only rows whose name has this in it; case does not matter. */
  readonly only: string | undefined;
  readonly rounds: number;
  /** How long the load generator runs for one figure. */
  readonly seconds: number;
  /** Short loads, small fixtures and no crowd of 200: to see that everything runs, not to quote. */
  readonly quick: boolean;
  /** Without the candidates that a Go toolchain builds. */
  readonly noGo: boolean;
  /** The only candidates to run, besides ours. */
  readonly just: readonly string[] | undefined;
  /** Runs one row against ours under Node's CPU profiler instead of measuring. */
  readonly profile: string | undefined;
  readonly help: boolean;
}

const FULL = { rounds: 3, seconds: 3 };
const QUICK = { rounds: 1, seconds: 1 };
const ROUNDS_MAX = 50;
const SECONDS_MAX = 300;

export const USAGE = `make bench ARGS="..."
  --only TEXT       only rows whose name has TEXT in it
  --just A,B        only these candidates (and ours, to which the others are compared)
  --rounds N        how often everything is measured, candidates in turn (${FULL.rounds})
  --seconds N       how long one load runs (${FULL.seconds})
  --quick           small fixtures, one round of ${QUICK.seconds} s: shows that all of it runs
  --no-go           leave out what would have to be built with Go
  --profile TEXT    runs the one row with TEXT in its name against ours under the CPU profiler and prints the
                    functions that took longest
A whole run (without --only, --just, --quick, --no-go) writes bench/results.md.
`;

/** A mistake of whoever typed the command. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

export function parseOptions(args: readonly string[]): Options {
  const { values } = parse(args);
  const quick = values.quick === true;
  const usual = quick ? QUICK : FULL;
  return {
    only: values.only,
    rounds: whole("--rounds", values.rounds, usual.rounds, ROUNDS_MAX),
    seconds: whole("--seconds", values.seconds, usual.seconds, SECONDS_MAX),
    quick,
    noGo: values["no-go"] === true,
    // Other candidates are not profiled, and need not be built for it.
    just: values.profile !== undefined ? [] : values.just?.split(",").map((name) => name.trim()),
    profile: values.profile,
    help: values.help === true,
  };
}

/** Whether what is measured is the whole table, fit to be kept. */
export function isWhole(options: Options): boolean {
  return options.only === undefined && options.just === undefined && !options.quick && !options.noGo;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        only: { type: "string" },
        just: { type: "string" },
        rounds: { type: "string" },
        seconds: { type: "string" },
        quick: { type: "boolean" },
        "no-go": { type: "boolean" },
        profile: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), USAGE);
  }
}

function whole(name: string, text: string | undefined, usual: number, max: number): number {
  if (text === undefined) return usual;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= max) return value;
  throw new UsageError(`${name} is "${text}"`, `it must be a whole number from 1 to ${max}`);
}
