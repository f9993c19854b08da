#!/usr/bin/env node
import { versionProblem } from "./cli/node-version.ts";

// All else is loaded afterwards: what an old Node.js lacks would stop it there, without a word of what to do.
const problem = versionProblem(process.versions.node);
if (problem === undefined) {
  const { runProcess } = await import("./cli/process.ts");
  process.exit(await runProcess());
} else {
  process.stderr.write(problem);
  process.exitCode = 1;
}
