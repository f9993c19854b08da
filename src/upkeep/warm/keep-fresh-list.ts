import { isBlank, type ListText, listText, parseList } from "../own-text.ts";
import { type Platforms, parsePlatform } from "./platforms.ts";

/** Entries; more would keep upstreams busy for nothing. */
export const KEEP_FRESH_MAX = 1_000;
const LINE_LENGTH_MAX = 1_500;

/** An image that is refreshed again and again. */
export interface KeptFresh {
  /** `docker.io/library/nginx:1.27`. */
  readonly reference: string;
  readonly platforms: Platforms;
}

/** The file as it is, lines of people's own included. */
export type KeepFreshText = ListText<KeptFresh>;

const HEAD = [
  "# Images that the cache keeps fresh: what `registry-cache warm --keep-fresh` was given, one a line, with its platforms.",
  "# Lines may be added and removed by hand; the next round reads them.",
];

/** Reads `REFERENCE PLATFORM[,PLATFORM...]` or `REFERENCE all`, one a line; `#` begins a comment. */
export function parseKeepFresh(text: string): KeepFreshText {
  return parseList(text, KEEP_FRESH_MAX, parseLine);
}

/** The file with these in it; whoever is there already gets the new platforms. Undefined where that would be too many. */
export function withEntries(before: KeepFreshText, added: readonly KeptFresh[]): string | undefined {
  const byReference = new Map(added.map((entry) => [entry.reference, entry]));
  const kept = before.lines.filter((line) => !byReference.has(parseLine(line)?.reference ?? ""));
  const lines = [...(kept.length === 0 ? HEAD : kept), ...[...byReference.values()].map(lineOf)];
  return parseKeepFresh(lines.join("\n")).entries.length < countOf(lines) ? undefined : listText(lines);
}

/** The file without these. */
export function withoutEntries(before: KeepFreshText, references: ReadonlySet<string>): string {
  return listText(before.lines.filter((line) => !references.has(parseLine(line)?.reference ?? "")));
}

function countOf(lines: readonly string[]): number {
  return lines.filter((line) => parseLine(line) !== undefined).length;
}

function lineOf({ reference, platforms }: KeptFresh): string {
  return `${reference} ${platforms === "all" ? "all" : platforms.join(",")}`;
}

function parseLine(line: string): KeptFresh | undefined {
  if (isBlank(line) || line.length > LINE_LENGTH_MAX) return undefined;
  const [reference = "", which, ...more] = line.trim().split(/\s+/);
  if (more.length > 0 || which === undefined) return undefined;
  if (which === "all") return { reference, platforms: "all" };
  const platforms = which.split(",").map(parsePlatform);
  return platforms.every((one) => one !== undefined) ? { reference, platforms } : undefined;
}
