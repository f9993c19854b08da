import type { CandidateName } from "./candidates/candidate.ts";
import { pairwise, type Spread, spreadOf } from "./lib/statistics.ts";
import type { Requirement } from "./rows/row.ts";
import type { Measured } from "./run.ts";

export interface Verdict {
  readonly requirement: Requirement;
  /** Undefined where nothing could be compared. */
  readonly found: Spread | undefined;
  readonly reached: boolean | undefined;
}

/** A line's figures of one candidate, round by round. */
export function figuresOf({ figures }: Measured, name: CandidateName, line: string): (number | undefined)[] {
  return (figures.get(name) ?? []).map((round) => round?.[line]);
}

/** Decided by the median over the rounds. */
export function judge(measured: Measured, requirement: Requirement): Verdict {
  const found = compare(measured, requirement);
  return { requirement, found, reached: found === undefined ? undefined : isReached(found.median, requirement) };
}

function compare(measured: Measured, { line, compare: how, to = "ours" }: Requirement): Spread | undefined {
  const mine = figuresOf(measured, "ours", line);
  if (how === "value") return spreadOf(mine.filter((figure) => figure !== undefined));
  const theirs = figuresOf(measured, to, line);
  return pairwise(mine, theirs, (our, their) => (how === "ratio" ? our / their : our - their));
}

function isReached(found: number, { atLeast, atMost }: Requirement): boolean {
  return (atLeast === undefined || found >= atLeast) && (atMost === undefined || found <= atMost);
}
