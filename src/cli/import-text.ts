import { humanDuration, humanSize } from "../lib/human.ts";
import { printable } from "../lib/printable.ts";
import type { Amount, ImportPlan, ImportReport, ImportTally } from "../upkeep/import/report.ts";
import type { ImportProblem } from "../upkeep/import/source.ts";

/** Problems that are told one by one; the rest is counted, and stands in the JSON. */
const PROBLEMS_SHOWN_MAX = 20;

/** What an import would take. */
export function planText(plan: ImportPlan): string {
  const { wanted, held, missing, roomNeeded, room } = plan;
  const lines = [
    `${plan.source}: ${inventory(plan)}`,
    `to take: ${amount(wanted)}; held already: ${amount(held)}`,
    `${needs(wanted, roomNeeded)}; ${humanSize(Math.max(0, room))} may be used`,
  ];
  if (roomNeeded > Math.max(0, room)) lines.push("that is more than there is: it would stop on the way");
  if (missing > 0) lines.push(`named there without being there: ${blobs(missing)}, fetched when they are pulled`);
  return `${lines.join("\n")}\n`;
}

function needs(wanted: Amount, roomNeeded: number): string {
  if (wanted.blobs === 0) return "no room is needed";
  if (roomNeeded === 0) return "no room is needed: they can be linked to where they are";
  return `${humanSize(roomNeeded)} of room ${roomNeeded === wanted.bytes ? "is" : "at most is"} needed for copies`;
}

/** The first line of a real one. */
export function planLine(plan: ImportPlan): string {
  return `${plan.source}: ${inventory(plan)}; to take: ${amount(plan.wanted)}\n`;
}

/** One line; `perSecond` is bytes. */
export function progressLine(plan: ImportPlan | undefined, tally: ImportTally, perSecond: number): string {
  if (plan === undefined) return "looking at what there is";
  const done = tally.bytesDone + tally.bytesUnderWay;
  const left = Math.max(0, plan.bytes - done);
  const percent = plan.bytes === 0 ? 100 : Math.min(100, Math.floor((done * 100) / plan.bytes));
  const parts = [
    `${percent}%`,
    `${humanSize(done)} of ${humanSize(plan.bytes)}`,
    `${tally.blobsDone} of ${blobs(plan.blobs)}`,
    `${humanSize(Math.round(perSecond))}/s`,
    ...(perSecond > 0 && left > 0 ? [`${humanDuration((left * 1000) / perSecond)} left`] : []),
    tally.repository,
  ];
  return printable(parts.join("  "));
}

/** What was done. */
export function reportText(report: ImportReport): string {
  const { linked, cloned, copied, held, missing, damaged, tagsKept } = report;
  const ways = [
    ["linked", linked],
    ["cloned", cloned],
    ["copied", copied],
    ["held already", held],
  ] as const;
  const done = ways.filter(([, { blobs: count }]) => count > 0).map(([how, all]) => `${how}: ${amount(all)}`);
  const lines = [`imported: ${inventory(report)}`];
  if (done.length > 0) lines.push(done.join("; "));
  if (tagsKept > 0) lines.push(`tags that the cache had already, left as they are: ${tagsKept}`);
  if (missing > 0) lines.push(`named there without being there: ${blobs(missing)}, fetched when they are pulled`);
  if (damaged > 0) lines.push(`damaged there, and left out: ${blobs(damaged)}`);
  return `${lines.join("\n")}\n${keptBack(report)}`;
}

function keptBack({ privateRepositories, unknownRepositories }: ImportReport): string {
  const lines: string[] = [];
  if (privateRepositories > 0) {
    lines.push(
      `kept back: ${repositories(privateRepositories)} that the registry does not give to everybody; see private images in docs/security.md`,
    );
  }
  if (unknownRepositories > 0) {
    lines.push(
      `kept back: ${repositories(unknownRepositories)} whose registry could not be asked whether everybody may have them`,
      "hint: run the import again when it can be asked, or with --public if you know that they may",
    );
  }
  return lines.map((line) => `${line}\n`).join("");
}

/** What was passed over; nothing where that is nothing. */
export function problemsText({ problems, problemCount }: Pick<ImportReport, "problems" | "problemCount">): string {
  const shown = problems.slice(0, PROBLEMS_SHOWN_MAX).map((one) => `warning: ${printable(problemText(one))}\n`);
  const more = problemCount - shown.length;
  return shown.join("") + (more > 0 ? `warning: ${more} more; --json has them\n` : "");
}

const MEANINGS: Readonly<Record<ImportProblem["kind"], string>> = {
  "bad-name": "no repository can be called so; passed over",
  "unknown-registry": "of a registry that is not configured; passed over",
  unnamed: "nothing says what it is called; passed over (see --as)",
  "damaged-link": "its link does not say what it must; passed over",
  damaged: "not the bytes that the digest stands for; left out",
  "no-manifest": "said to be a manifest, and is none; left out",
  unreadable: "could not be read; left out",
  "leads-out": "a symbolic link; not followed",
};

function problemText({ kind, what, repository, reason }: ImportProblem): string {
  const where = repository === undefined ? "" : ` in ${repository}`;
  return `${what}${where}: ${MEANINGS[kind]}${reason === undefined ? "" : ` (${reason})`}`;
}

function inventory(all: { repositories: number; manifests: number; tags: number }): string {
  return [repositories(all.repositories), counted(all.manifests, "manifest"), counted(all.tags, "tag")].join(", ");
}

function repositories(count: number): string {
  return `${count} ${count === 1 ? "repository" : "repositories"}`;
}

function blobs(count: number): string {
  return counted(count, "blob");
}

function counted(count: number, one: string): string {
  return `${count} ${count === 1 ? one : `${one}s`}`;
}

function amount(all: Amount): string {
  return `${blobs(all.blobs)}, ${humanSize(all.bytes)}`;
}
