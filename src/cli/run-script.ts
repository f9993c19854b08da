import { spawn } from "node:child_process";
import { CliError } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** Where a script runs; here where there is no `ssh`. */
export interface ScriptHost {
  readonly ssh: string | undefined;
  readonly sudo: boolean;
}

export interface ScriptEnd {
  readonly exitCode: number;
  readonly isNothingToDo: boolean;
}

/** A name that begins with a dash would be an option of ssh. */
export function assertTarget(target: string): void {
  if (/^[^-\s][^\s]*$/.test(target)) return;
  throw new CliError("--ssh wants USER@HOST", { hint: "such as --ssh root@host-1", exitCode: 2 });
}

/** Runs a script that sh reads from its standard input, so that no secret of it stands on a command line. */
export async function runScript(
  terminal: Terminal,
  { ssh, sudo }: ScriptHost,
  script: string,
  flags: readonly string[],
): Promise<ScriptEnd> {
  const words = ["sh", "-s", "--", ...flags];
  const [program, ...args] =
    ssh === undefined
      ? words
      : ["ssh", "--", ssh, [...(sudo ? ["sudo", "-n"] : []), ...words.map(quotedWord)].join(" ")];
  const child = spawn(program as string, args, { stdio: ["pipe", "pipe", "pipe"], env: terminal.environment });
  let begin = "";
  child.stdout.setEncoding("utf8").on("data", (piece: string) => {
    if (begin.length < NOTHING_TO_DO.length) begin += piece.slice(0, NOTHING_TO_DO.length);
    terminal.out.write(piece);
  });
  child.stderr.setEncoding("utf8").on("data", (piece: string) => terminal.err.write(piece));
  // It may end before it has read all.
  child.stdin.on("error", () => undefined);
  child.stdin.end(script);
  const exitCode = await new Promise<number>((resolve, reject) => {
    child.once("error", (error) => reject(notStarted(program as string, error)));
    child.once("close", (code) => resolve(code ?? 1));
  });
  return { exitCode, isNothingToDo: begin.startsWith(NOTHING_TO_DO) };
}

/** What the script says then, first of all. */
const NOTHING_TO_DO = "nothing to do";

function notStarted(program: string, error: Error): CliError {
  const hint = program === "ssh" ? "install an OpenSSH client" : "the settings are written by a POSIX sh";
  return new CliError(`${program} cannot be started (${error.message})`, { hint, cause: error });
}

/** ssh hands its words to a shell over there. */
function quotedWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
