import { isatty } from "node:tty";
import { errorText } from "./failure.ts";
import { run } from "./program.ts";
import { promptsOn } from "./prompts.ts";
import { standardInput } from "./stdin.ts";
import type { Input, Output } from "./terminal.ts";

interface ProcessOutput extends Output {
  /** Waits until all is written, and resolves with the first failure of it. */
  flushed(): Promise<Error | undefined>;
}

function outputTo(stream: typeof process.stdout | typeof process.stderr): ProcessOutput {
  let failure: Error | undefined;
  const note = (error: NodeJS.ErrnoException | null | undefined) => {
    // A reader that has seen enough (`| head`) is no failure.
    if (error && error.code !== "EPIPE") failure ??= error;
  };
  // Told at the end; without a listener it would end a server that goes on well without its banner.
  stream.on("error", note);
  const isTerminal = isatty(stream.fd);
  return {
    isTerminal,
    hasColors: isTerminal && stream.hasColors(),
    columns: () => stream.columns,
    rows: () => stream.rows,
    write: (text) => stream.write(text, note),
    flushed: async () => {
      await new Promise<void>((resolve) => stream.write("", () => resolve()));
      return failure;
    },
  };
}

/** Runs the command that the process was started with; resolves with the exit code once everything is written. */
export async function runProcess(): Promise<number> {
  const out = outputTo(process.stdout);
  const err = outputTo(process.stderr);
  // Opened by whoever reads it: a server has no use for standard input.
  const input: Input = {
    isTerminal: isatty(0),
    readAll: async () => await standardInput(process.stdin).readAll(),
    confirm: async (question) => await standardInput(process.stdin).confirm(question),
    askSecret: async (question) => await standardInput(process.stdin).askSecret(question),
    asker: async () => await promptsOn(process.stdin, process.stdout),
  };
  const exitCode = await run(process.argv.slice(2), { environment: process.env, cwd: process.cwd(), input, out, err });
  const failure = await out.flushed();
  if (failure !== undefined) err.write(errorText(`standard output: ${failure.message}`, undefined));
  await err.flushed();
  return exitCode === 0 && failure !== undefined ? 1 : exitCode;
}
