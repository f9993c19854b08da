import type { Candidate, Missing } from "./candidates/candidate.ts";
import type { Spread } from "./lib/statistics.ts";
import { machineShape } from "./lib/machine.ts";
import type { Options } from "./options.ts";
import type { Measured } from "./run.ts";
import { renderTable } from "./table.ts";

export interface ReportCall {
  readonly options: Options;
  readonly args: readonly string[];
  readonly startedAt: Date;
  readonly measured: readonly Measured[];
  readonly present: readonly Candidate[];
  readonly missing: readonly Missing[];
  /** Cores that other programs took meanwhile. */
  readonly others: Spread | undefined;
}

/** The whole of `results.md`. */
export async function renderReport({ options, args, startedAt, ...found }: ReportCall): Promise<string> {
  const versions = await Promise.all(found.present.map(async (one) => `- ${one.name}: ${await one.version()}`));
  const command = ["make bench", ...(args.length > 0 ? [`ARGS="${args.join(" ")}"`] : [])].join(" ");
  return [
    "# Measured",
    "",
    `\`${command}\`, begun ${startedAt.toISOString()}, ${options.rounds} rounds of ${options.seconds} s.`,
    "",
    ...machineShape().map((line) => `- ${line}`),
    ...othersLine(found.others),
    "",
    ...versions,
    ...found.missing.map(({ name, reason }) => `- ${name}: not there: ${reason}`),
    "",
    "Each cell: the median over the rounds (least..most), then what that is of ours. Verdicts compare within each round.",
    "",
    renderTable(found.measured, found.missing),
    "",
    ...failures(found.measured),
  ].join("\n");
}

/** A machine that is busy with something else makes every figure worse, and not every one as much. */
function othersLine(others: Spread | undefined): string[] {
  if (others === undefined) return [];
  const [median, most] = [others.median.toFixed(2), others.max.toFixed(2)];
  return [`- everything else on the machine took ${median} of its cores while wrk ran (at most ${most})`];
}

function failures(measured: readonly Measured[]): string[] {
  const lines = measured.flatMap(({ row, failures: found }) =>
    [...found].map(([name, reason]) => `- ${row.name}: ${name}: ${reason.split("\n")[0]}`),
  );
  return lines.length === 0 ? [] : ["Failed:", "", ...lines, ""];
}
