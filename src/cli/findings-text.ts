import { styleText } from "node:util";
import type { Area, Finding, Level } from "../doctor/finding.ts";
import { printable } from "../lib/printable.ts";
import { packageVersion } from "../lib/version.ts";
import type { Output } from "./terminal.ts";

type Paper = Pick<Output, "hasColors" | "isTerminal" | "columns">;

const COLORS = { ok: "green", warning: "yellow", problem: "red", skipped: "dim" } as const satisfies Record<
  Level,
  string
>;
/** Behind the longest word of a level. */
const LEVEL_WIDTH = 9;
const INDENT = 2 + LEVEL_WIDTH;
/** A narrower terminal wraps by itself. */
const WIDTH_MIN = 60;
const FIX = "fix: ";

export function titleText(out: Paper): string {
  return `${painted(out, "bold", "Registry Cache")} ${painted(out, "dim", packageVersion())}\n`;
}

/** With an empty line before it. */
export function areaText({ title, findings }: Area, out: Paper): string {
  return `\n${painted(out, "bold", title)}\n${findings.map((one) => findingText(one, out)).join("")}`;
}

function findingText({ level, message, fix }: Finding, out: Paper): string {
  const word = `  ${painted(out, COLORS[level], level)}${" ".repeat(LEVEL_WIDTH - level.length)}`;
  const first = `${word}${wrapped(message, INDENT, out)}\n`;
  if (fix === undefined) return first;
  return `${first}${" ".repeat(INDENT)}${painted(out, "dim", FIX)}${wrapped(fix, INDENT + FIX.length, out)}\n`;
}

export function conclusionText(problems: number, warnings: number, out: Paper): string {
  if (problems === 0 && warnings === 0) return `\n${painted(out, "green", "all is well")}\n`;
  const text = `${counted(problems, "problem")}, ${counted(warnings, "warning")}`;
  return `\n${painted(out, problems === 0 ? "yellow" : "red", text)}\n`;
}

function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

function painted({ hasColors }: Paper, style: "bold" | (typeof COLORS)[Level], text: string): string {
  // The terminal was looked at already.
  return hasColors ? styleText(style, text, { validateStream: false }) : text;
}

/** At the terminal's width, at blanks, so that lines stand below each other; as one line elsewhere. */
export function wrapped(text: string, indent: number, { isTerminal, columns }: Paper): string {
  const width = isTerminal ? (columns?.() ?? 0) : 0;
  if (width < WIDTH_MIN) return printable(text);
  // A character in the last column makes some terminals add an empty line.
  const room = width - 1 - indent;
  const lines: string[] = [];
  for (const word of printable(text).split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > room) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.join(`\n${" ".repeat(indent)}`);
}
