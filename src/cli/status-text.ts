import type { StatusAnswer } from "../admin/api/answers.ts";
import { humanDuration, humanSize } from "../lib/human.ts";
import { printable } from "../lib/printable.ts";
import { shortDigest } from "./ls-text.ts";
import { tableLines } from "./table.ts";

const BAR_COLUMNS = 20;
/** In a table, which eighty columns have to be enough for. */
const SHORT_BAR_COLUMNS = 10;
const LABEL_WIDTH = 8;
/** Rows without which the live screen says nothing. */
const FILLS_SHOWN_MIN = 2;
/** One alone is as short in the table. */
const FOLDED_MIN = 2;
const COLUMNS = [
  { title: "REGISTRY" },
  { title: "HELD", isNumber: true },
  { title: "SERVED", isNumber: true },
  { title: "SAVED", isNumber: true },
  { title: "PULLS", isNumber: true },
  { title: "LEFT", isNumber: true },
  { title: "UPSTREAM" },
] as const;

export interface StatusPaper {
  /** Of the terminal; undefined: lines are as long as they are. */
  readonly width: number | undefined;
  /** Lines that there is room for; undefined: any number. */
  readonly height?: number | undefined;
}

/** How the cache is, line by line; what does not fit is left out from the end of each list. */
export function statusLines(status: StatusAnswer, { width, height }: StatusPaper): string[] {
  const head = headLines(status);
  const table = registryLines(status, width);
  const fills = fillLines(status, width);
  const room = height === undefined ? Infinity : height - head.length - 2;
  const forFills =
    fills.length === 0 ? 0 : Math.min(fills.length + 1, Math.max(FILLS_SHOWN_MIN + 1, room - table.length));
  const lines = [...head, "", ...cut(table, room - forFills, "registries")];
  const all = forFills === 0 ? lines : [...lines, "", ...cut(fills, forFills - 1, "fills")];
  const fitting = height === undefined ? all : all.slice(0, height);
  return width === undefined ? fitting : fitting.map((line) => line.slice(0, width));
}

/** One line, for where nobody sees a screen. */
export function statusLine(status: StatusAnswer): string {
  const { held, counts, activity } = status;
  const rate = activity.fills.reduce((sum, { bytesPerSecond }) => sum + bytesPerSecond, 0);
  const broken = status.registries.filter(({ upstream }) => upstream.state !== "available").map(({ id }) => id);
  return [
    status.now,
    `held ${humanSize(held.bytes)}`,
    `served ${humanSize(served(counts))}`,
    `saved ${share(counts.bytesSaved, served(counts))}`,
    `fills ${activity.fillCount} at ${humanSize(Math.round(rate))}/s`,
    `requests ${activity.openRequests}`,
    ...(broken.length === 0 ? [] : [`unavailable ${broken.join(",")}`]),
  ].join("  ");
}

function headLines({ version, uptimeSeconds, held, disk, counts, activity }: StatusAnswer): string[] {
  const rate = activity.fills.reduce((sum, { bytesPerSecond }) => sum + bytesPerSecond, 0);
  const budget =
    held.maxBytes === undefined ? "" : ` of ${humanSize(held.maxBytes)}  ${bar(held.bytes / held.maxBytes)}`;
  const partial = held.partialBytes === 0 ? "" : `, and ${humanSize(held.partialBytes)} unfinished`;
  const imageless = held.imagelessBytes === undefined ? "" : `; ${humanSize(held.imagelessBytes)} belong to no image`;
  const readers = activity.storedReaders + activity.fills.reduce((sum, one) => sum + one.readers, 0);
  return [
    `Registry Cache ${printable(version)}, up ${humanDuration(uptimeSeconds * 1000)}`,
    labelled("held", `${humanSize(held.bytes)}${budget}${partial}${imageless}`),
    ...(disk === undefined ? [] : [labelled("disk", diskText(disk))]),
    labelled(
      "served",
      `${humanSize(served(counts))}, of which ${share(counts.bytesSaved, served(counts))} from the cache`,
    ),
    labelled("pulls", `${counts.pulls}, of which ${counts.pullsSaved} without upstream`),
    labelled(
      "now",
      `${counted(activity.fillCount, "fill")} at ${humanSize(Math.round(rate))}/s, ${counted(readers, "reader")}, ` +
        `${counted(activity.openRequests, "request")}, ${counted(activity.connections, "connection")}`,
    ),
  ];
}

function diskText({ freeBytes, totalBytes, minFreeBytes }: NonNullable<StatusAnswer["disk"]>): string {
  const reserve = minFreeBytes === 0 ? "" : `, of which ${humanSize(minFreeBytes)} stay free`;
  return `${humanSize(freeBytes)} of ${humanSize(totalBytes)} free${reserve}`;
}

function registryLines({ registries }: StatusAnswer, width: number | undefined): string[] {
  const unused = registries.filter(isUnused);
  const isFolded = unused.length >= FOLDED_MIN && unused.length < registries.length;
  const shown = isFolded ? registries.filter((one) => !isUnused(one)) : registries;
  const rows = shown.map(({ id, heldBytes, maxBytes, upstream, counts }) => [
    printable(id),
    maxBytes === undefined ? humanSize(heldBytes) : `${humanSize(heldBytes)} of ${humanSize(maxBytes)}`,
    humanSize(served(counts)),
    share(counts.bytesSaved, served(counts)),
    String(counts.pulls),
    upstream.quota === undefined ? "-" : `${upstream.quota.remaining} of ${upstream.quota.limit}`,
    upstreamText(upstream),
  ]);
  const ids = unused.map(({ id }) => printable(id)).join(", ");
  return [...tableLines(COLUMNS, rows, width), ...(isFolded ? [`unused: ${ids}`] : [])];
}

/** It holds nothing, was asked for nothing, and nothing is wrong with it. */
function isUnused({ heldBytes, counts, upstream }: StatusAnswer["registries"][number]): boolean {
  const requests = Object.values(counts.requests).reduce((sum, count) => sum + count, 0);
  return heldBytes === 0 && requests === 0 && counts.bytesFetched === 0 && upstream.state === "available";
}

/** What comes from it just now its fills say. */
function upstreamText({ state, askedAgainInSeconds }: StatusAnswer["registries"][number]["upstream"]): string {
  return askedAgainInSeconds === undefined ? state : `${state} (${askedAgainInSeconds} s)`;
}

function fillLines({ activity }: StatusAnswer, width: number | undefined): string[] {
  const rows = activity.fills.map(({ digest, repository, registry, state, bytes, size, bytesPerSecond, readers }) => [
    `${printable(repository ?? registry)}@${shortDigest(digest).replace("sha256:", "")}`,
    size === undefined
      ? state
      : `${state === "unkept" ? "not kept".padEnd(SHORT_BAR_COLUMNS + 2) : bar(bytes / size, SHORT_BAR_COLUMNS)} ${share(bytes, size).padStart(PERCENT_WIDTH)}`,
    size === undefined ? humanSize(bytes) : `${humanSize(bytes)} of ${humanSize(size)}`,
    `${humanSize(Math.round(bytesPerSecond))}/s`,
    String(readers),
  ]);
  if (rows.length === 0) return [];
  return tableLines(FILL_COLUMNS, rows, width);
}

const PERCENT_WIDTH = "100%".length;
const FILL_COLUMNS = [
  { title: "FILL" },
  { title: "PROGRESS" },
  { title: "BYTES", isNumber: true },
  { title: "RATE", isNumber: true },
  { title: "READERS", isNumber: true },
] as const;

/** The first ones, and how many there are beside them; the heading is one of the lines. */
function cut(lines: readonly string[], max: number, what: string): string[] {
  if (lines.length <= max) return [...lines];
  const shown = Math.max(1, max - 1);
  return [...lines.slice(0, shown), `... ${lines.length - shown} more ${what}`];
}

function served({ bytesServed }: StatusAnswer["counts"]): number {
  return Object.values(bytesServed).reduce((sum, bytes) => sum + bytes, 0);
}

function share(part: number, whole: number): string {
  return whole === 0 ? "-" : `${Math.floor((part * 100) / whole)}%`;
}

function bar(part: number, columns = BAR_COLUMNS): string {
  const full = Math.floor(Math.min(1, Math.max(0, part)) * columns);
  return `[${"=".repeat(full)}${" ".repeat(columns - full)}]`;
}

function labelled(label: string, text: string): string {
  return `${label.padEnd(LABEL_WIDTH)}${text}`;
}

function counted(count: number, one: string): string {
  return `${count} ${count === 1 ? one : `${one}s`}`;
}
