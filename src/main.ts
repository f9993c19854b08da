#!/usr/bin/env node
import { run } from "./cli/program.ts";

// A reader that has seen enough (`| head`) is no failure, and must not end a server.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}

const exitCode = await run(process.argv.slice(2), {
  environment: process.env,
  cwd: process.cwd(),
  outHasColors: process.stdout.isTTY && process.stdout.hasColors(),
  errHasColors: process.stderr.isTTY && process.stderr.hasColors(),
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
});
process.exit(exitCode);
