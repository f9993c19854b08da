import { existsSync, realpathSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { shortPath } from "../lib/short-path.ts";
import type { Terminal } from "./terminal.ts";

const PROGRAM = "registry-cache";

/** As it is typed here: in a checkout it is not among the system's programs. */
export function programName({ cwd, environment }: Pick<Terminal, "cwd" | "environment">): string {
  const folders = (environment["PATH"] ?? "").split(delimiter);
  if (folders.some((folder) => folder !== "" && existsSync(join(folder, PROGRAM)))) return PROGRAM;
  const inCheckout = join(programFolder(), "bin", PROGRAM);
  return existsSync(inCheckout) ? shortPath(inCheckout, cwd) : PROGRAM;
}

/** Whether it is a checkout's folder, from which this program runs and `make` installs it. */
export function isCheckout(folder: string): boolean {
  return folder === programFolder() && existsSync(join(folder, "Makefile"));
}

function programFolder(): string {
  const [, script = ""] = process.argv;
  return dirname(dirname(existsSync(script) ? realpathSync(script) : script));
}
