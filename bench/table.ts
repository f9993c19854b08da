import { CANDIDATES, type CandidateName, type Missing } from "./candidates/candidate.ts";
import { pairwise, type Spread, spreadOf } from "./lib/statistics.ts";
import { figuresOf, judge, type Verdict } from "./requirement.ts";
import type { Line, Unit } from "./rows/row.ts";
import type { Measured } from "./run.ts";

/** Significant digits: more would claim a precision that no run has. */
const DIGITS = 3;

const SCALES: readonly (readonly [number, string])[] = [
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
  [1, ""],
];

/** Figures in the unit of a line, as short as they can be read. */
export function formatFigure(value: number, unit: Unit): string {
  switch (unit) {
    case "per second":
      return `${scaled(value, 1e6)}/s`;
    case "bytes per second":
      return `${scaled(value)}B/s`;
    case "bytes":
      return `${scaled(value)}B`;
    case "seconds":
      return `${short(value)} s`;
    case "ms":
      return `${short(value)} ms`;
    case "number":
      return short(value);
    case "times":
      return `${short(value)}x`;
  }
}

/** Numbers below `from` are written out. */
function scaled(value: number, from = 1e3): string {
  const [by, name] = SCALES.find(([size]) => Math.abs(value) >= size && (size === 1 || size >= from)) ?? [1, ""];
  return name === "" ? short(value) : `${short(value / by)} ${name}`;
}

function short(value: number): string {
  if (!Number.isFinite(value)) return "?";
  const digits = Math.max(0, DIGITS - 1 - Math.max(0, Math.floor(Math.log10(Math.max(Math.abs(value), 1e-9)))));
  return value.toFixed(Math.min(digits, 2)).replaceAll(/\B(?=(\d{3})+(?!\d))/g, value >= 1000 ? "," : "");
}

/** One table: candidates as columns, figures as rows, each with its spread and divided by ours. */
export function renderTable(all: readonly Measured[], missing: readonly Missing[]): string {
  const columns = CANDIDATES.filter(
    (name) => missing.some((one) => one.name === name) || all.some(({ figures }) => figures.has(name)),
  );
  const head = ["", ...columns, "must reach"];
  const lines = all.flatMap((measured) =>
    measured.row.lines.map((line, index) => {
      const label = index === 0 ? `**${measured.row.name}**: ${line.label}` : `… ${line.label}`;
      const cells = columns.map((name) => cell(measured, line, name, missing));
      return [label, ...cells, verdictsOf(measured, line)];
    }),
  );
  return [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function cell(measured: Measured, line: Line, name: CandidateName, missing: readonly Missing[]): string {
  if (!measured.row.candidates.includes(name)) return "";
  if (missing.some((one) => one.name === name)) return "not there";
  const mine = figuresOf(measured, name, line.id);
  const spread = spreadOf(mine.filter((figure) => figure !== undefined));
  if (spread === undefined) return measured.failures.has(name) ? "failed" : "";
  const ratio = pairwise(mine, figuresOf(measured, "ours", line.id), (their, our) => their / our);
  const compared = name === "ours" || ratio === undefined ? "" : `, ${formatFigure(ratio.median, "times")}`;
  return `${withSpread(spread, line.unit)}${compared}`;
}

function withSpread({ median, min, max }: Spread, unit: Unit): string {
  const text = formatFigure(median, unit);
  return min === max ? text : `${text} (${formatFigure(min, unit)}..${formatFigure(max, unit)})`;
}

function verdictsOf(measured: Measured, line: Line): string {
  return measured.row.mustReach
    .filter((requirement) => requirement.line === line.id)
    .map((requirement) => verdictText(judge(measured, requirement), line.unit))
    .join("<br>");
}

export function verdictText({ requirement, found, reached }: Verdict, unit: Unit): string {
  if (found === undefined || reached === undefined) return `${requirement.text}: not measured`;
  const figure = withSpread(found, requirement.compare === "ratio" ? "times" : unit);
  return `${requirement.text}: ${reached ? "yes" : "**no**"}, ${figure}`;
}
