/** Both ends inclusive, bytes, inside the representation: `0 <= start <= end < size`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** What a Range header asks of a representation (RFC 9110, section 14.2). */
export type RangeRequest =
  | { readonly kind: "whole" }
  | ({ readonly kind: "one" } & Span)
  | { readonly kind: "many"; readonly ranges: readonly Span[] }
  | { readonly kind: "unsatisfiable" };

/** More ranges than this in one header are ignored, as RFC 9110, section 14.2 allows: the whole is sent. */
export const RANGES_MAX = 64;

/** Two ranges may overlap each other; RFC 9110, section 14.2 lets us ignore a header where more of them do. */
const OVERLAPPING_MAX = 2;

const WHOLE: RangeRequest = { kind: "whole" };
const RANGE = /^bytes=(.*)$/i;
const SPEC = /^(\d*)-(\d*)$/;

/**
 * Reads a Range header against a representation of `size` bytes. Never throws: a malformed header or another unit is as
 * good as none (RFC 9110, section 14.2: "MUST ignore").
 */
export function parseRange(header: string | undefined, size: number): RangeRequest {
  const list = RANGE.exec(trimmed(header ?? ""))?.[1];
  if (list === undefined) return WHOLE;
  // Empty elements of a list are legal and count for nothing (RFC 9110, section 5.6.1.2).
  const specs = list
    .split(",")
    .map(trimmed)
    .filter((spec) => spec !== "");
  if (specs.length === 0 || specs.length > RANGES_MAX) return WHOLE;
  const spans = specs.map((spec) => readSpec(spec, size));
  if (spans.includes("malformed")) return WHOLE;
  return choose(
    spans.filter((span) => typeof span === "object"),
    spans.includes("empty"),
  );
}

function choose(ranges: readonly Span[], emptySuffix: boolean): RangeRequest {
  const [first] = ranges;
  // A suffix of an empty representation is satisfiable (section 14.1.2), but there is no byte that a 206 could name.
  if (first === undefined) return emptySuffix ? WHOLE : { kind: "unsatisfiable" };
  if (ranges.length === 1) return { kind: "one", ...first };
  return overlapping(ranges) > OVERLAPPING_MAX ? WHOLE : { kind: "many", ranges };
}

/** `beyond`: well-formed, but no byte of the representation is meant. `empty`: a suffix of nothing. */
function readSpec(spec: string, size: number): Span | "malformed" | "beyond" | "empty" {
  const [, first = "", last = ""] = SPEC.exec(spec) ?? [];
  if (first === "") return last === "" ? "malformed" : readSuffix(Number(last), size);
  if (last !== "" && isLess(last, first)) return "malformed";
  // Digits beyond what a number holds exactly, up to Infinity, lie beyond any size as well.
  const start = Number(first);
  if (start >= size) return "beyond";
  return { start, end: last === "" ? size - 1 : Math.min(Number(last), size - 1) };
}

function readSuffix(length: number, size: number): Span | "beyond" | "empty" {
  if (length === 0) return "beyond";
  return size === 0 ? "empty" : { start: Math.max(0, size - length), end: size - 1 };
}

/** Compares digits exactly, however many. */
function isLess(left: string, right: string): boolean {
  const [a, b] = [left.replace(/^0+/, ""), right.replace(/^0+/, "")];
  return a.length === b.length ? a < b : a.length < b.length;
}

/** How many of the ranges share a byte with another one. */
function overlapping(ranges: readonly Span[]): number {
  return ranges.filter((one) =>
    ranges.some((other) => other !== one && one.start <= other.end && other.start <= one.end),
  ).length;
}

/** The value of Content-Range in a 206. */
export function contentRange(start: number, end: number, size: number): string {
  return `bytes ${start}-${end}/${size}`;
}

const CONTENT_RANGE = /^bytes[ \t]+(\d+)-(\d+)\/(\d+|\*)$/i;

/**
 * Reads an upstream's Content-Range; `size` is undefined where it says `*`. Undefined for anything that cannot be true
 * or counts further than numbers do: then we do not know where the body belongs.
 */
export function parseContentRange(header: string | undefined): (Span & { size: number | undefined }) | undefined {
  const [, first, last, total] = CONTENT_RANGE.exec(trimmed(header ?? "")) ?? [];
  const start = Number(first);
  const end = Number(last);
  const size = total === "*" ? undefined : Number(total);
  if (!Number.isSafeInteger(end) || !(start <= end)) return undefined;
  if (size !== undefined && !(Number.isSafeInteger(size) && end < size)) return undefined;
  return { start, end, size };
}

/** Without the optional white space of HTTP, which is less than what `trim` takes. */
function trimmed(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text, start)) start += 1;
  while (end > start && isBlank(text, end - 1)) end -= 1;
  return text.slice(start, end);
}

function isBlank(text: string, at: number): boolean {
  return text[at] === " " || text[at] === "\t";
}
