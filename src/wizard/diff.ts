import { isDeepStrictEqual, parseEnv } from "node:util";
import { MASK } from "../config/mask.ts";

/** Lines that stay and are shown around those that change. */
const AROUND = 1;
/** Beyond it a file is shown as wholly another: the comparison takes time in proportion to the square of it. */
const LINES_COMPARED_MAX = 3000;

type Line = readonly [mark: " " | "-" | "+", text: string];

/** What changes in a text, line by line, for people; empty where nothing does. */
export function diff(before: string, after: string): string {
  // Empty lines say nothing, and are many.
  const lines = compared(linesOf(before), linesOf(after)).filter(([, text]) => text.trim() !== "");
  const shown = lines.map((_, index) =>
    lines.slice(Math.max(0, index - AROUND), index + AROUND + 1).some(([mark]) => mark !== " "),
  );
  const texts: string[] = [];
  for (const [index, [mark, text]] of lines.entries()) {
    if (shown[index] === true) texts.push(`${mark} ${text}`.trimEnd());
    else if (shown[index - 1] === true && shown.includes(true, index)) texts.push("  ...");
  }
  return texts.join("\n");
}

/** What a new file says, without what it explains. */
export function said(text: string): string {
  return linesOf(text)
    .filter((line) => line !== "" && !line.startsWith("#"))
    .join("\n");
}

/** Names of variables whose values change; never the values. */
export function envDiff(before: string, after: string): string {
  const [was, is] = [parseEnv(before), parseEnv(after)];
  const names = new Set([...Object.keys(was), ...Object.keys(is)]);
  const lines = [...names].flatMap((name) => {
    if (isDeepStrictEqual(was[name], is[name])) return [];
    return is[name] === undefined ? `- ${name}` : `+ ${name}=${MASK}`;
  });
  return lines.join("\n");
}

function linesOf(text: string): string[] {
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}

function compared(before: readonly string[], after: readonly string[]): Line[] {
  let [start, end] = [0, 0];
  const least = Math.min(before.length, after.length);
  while (start < least && before[start] === after[start]) start += 1;
  while (end < least - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end += 1;
  const stays = (line: string): Line => [" ", line];
  return [
    ...before.slice(0, start).map(stays),
    ...changed(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...before.slice(before.length - end).map(stays),
  ];
}

/** By the longest common subsequence. */
function changed(before: readonly string[], after: readonly string[]): Line[] {
  const removed = before.map((line): Line => ["-", line]);
  const added = after.map((line): Line => ["+", line]);
  if (before.length === 0 || after.length === 0 || before.length + after.length > LINES_COMPARED_MAX)
    return [...removed, ...added];
  const width = after.length + 1;
  const lengths = new Uint16Array((before.length + 1) * width);
  for (let b = before.length - 1; b >= 0; b -= 1) {
    for (let a = after.length - 1; a >= 0; a -= 1) {
      const [down = 0, right = 0] = [lengths[(b + 1) * width + a], lengths[b * width + a + 1]];
      const both = (lengths[(b + 1) * width + a + 1] ?? 0) + 1;
      lengths[b * width + a] = before[b] === after[a] ? both : Math.max(down, right);
    }
  }
  const lines: Line[] = [];
  let [b, a] = [0, 0];
  while (b < before.length && a < after.length) {
    const isSame = before[b] === after[a];
    if (isSame) lines.push([" ", before[b] ?? ""]);
    const goesDown = !isSame && (lengths[(b + 1) * width + a] ?? 0) >= (lengths[b * width + a + 1] ?? 0);
    if (!isSame) lines.push(goesDown ? ["-", before[b] ?? ""] : ["+", after[a] ?? ""]);
    if (isSame || goesDown) b += 1;
    if (isSame || !goesDown) a += 1;
  }
  return [...lines, ...removed.slice(b), ...added.slice(a)];
}
