#!/usr/bin/env node
import { isatty } from "node:tty";
import { run } from "./cli/program.ts";
import type { Output } from "./cli/terminal.ts";

function outputTo(stream: typeof process.stdout | typeof process.stderr): Output {
  // A reader that has seen enough (`| head`) is no failure, and must not end a server.
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
  const isTerminal = isatty(stream.fd);
  return { write: (text) => stream.write(text), isTerminal, hasColors: isTerminal && stream.hasColors() };
}

const exitCode = await run(process.argv.slice(2), {
  environment: process.env,
  cwd: process.cwd(),
  out: outputTo(process.stdout),
  err: outputTo(process.stderr),
});
process.exit(exitCode);
