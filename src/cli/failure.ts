import { ConfigError } from "../config/errors.ts";
import { printable } from "../lib/printable.ts";
import type { ExitCode } from "./terminal.ts";

/** What went wrong and what to do about it, one line each, for the operator. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: ExitCode;
  readonly hint: string | undefined;

  constructor(message: string, options: { hint?: string | undefined; exitCode?: ExitCode; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.hint = options.hint;
    this.exitCode = options.exitCode ?? 1;
  }
}

export interface Failure {
  /** For standard error, with its last line break. */
  readonly text: string;
  readonly exitCode: ExitCode;
}

/** How an error ends a command. One that nobody foresaw keeps its stack: it is for a bug report. */
export function failureOf(error: unknown): Failure {
  if (error instanceof ConfigError) return { text: ended(error.render()), exitCode: 2 };
  if (error instanceof CliError) return { text: errorText(error.message, error.hint), exitCode: error.exitCode };
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const what = error instanceof Error ? error.message : String(error);
  const hint = "this is a fault in Registry Cache; please report it together with the lines below";
  return {
    text:
      errorText(what, hint) +
      stack
        .split("\n")
        .map((line) => `    ${printable(line)}\n`)
        .join(""),
    exitCode: 1,
  };
}

/** `error: ...` and, where there is one, `hint: ...`. */
export function errorText(message: string, hint: string | undefined): string {
  const error = `error: ${printable(message)}\n`;
  return hint === undefined ? error : `${error}hint: ${printable(hint)}\n`;
}

function ended(text: string): string {
  return text.endsWith("\n") ? text : `${text}\n`;
}
