import { availableParallelism } from "node:os";
import { shown } from "../lib/units.ts";
import { ValueError } from "../lib/value-error.ts";
import { kindOf } from "./values.ts";

/** More than any machine's network asks for; each of them takes memory of its own. */
export const WORKERS_MAX = 64;

/** `auto` stays as it is: how many that are depends on the machine, not on the text. */
export type WorkersInput = number | "auto";

export function readWorkers(input: unknown): WorkersInput {
  if (input === "auto") return input;
  if (typeof input === "number" && Number.isInteger(input) && input >= 1 && input <= WORKERS_MAX) return input;
  const isQuoted = typeof input === "string" && /^\d+$/.test(input);
  if (isQuoted) throw new ValueError("must be a number, not a text", "write it without quotes");
  const said = typeof input === "string" || typeof input === "number" ? shown(String(input)) : kindOf(input);
  throw new ValueError(
    `must be \`auto\` or a whole number from 1 to ${WORKERS_MAX}, not ${said}`,
    "such as 4, or auto for one a core",
  );
}

/** A variable of the environment is always a text. */
export function readWorkersText(text: string): WorkersInput {
  return readWorkers(/^\d+$/.test(text) ? Number(text) : text);
}

/** How many processes that are here; `cores` are those that this process may use, which a container may limit. */
export function resolveWorkers(input: WorkersInput, cores: number = availableParallelism()): number {
  return input === "auto" ? Math.min(Math.max(cores, 1), WORKERS_MAX) : input;
}
