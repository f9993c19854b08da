import { glob, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { Table } from "./table.ts";

/** `node test/faults/support/run.ts [FILE...]`: runs the long form; the whole of it writes the table. */

const FOLDER = join(import.meta.dirname, "..");
const RESULTS = join(FOLDER, "results.md");
/** Of one file: the longest is the soak. */
const FILE_MAX_MS = 40 * 60_000;

const named = process.argv.slice(2).map((file) => resolve(file));
const all = (await Array.fromAsync(glob(join(FOLDER, "*.test.ts")))).toSorted();
const table = new Table();

// One file at a time: what is measured is not to be disturbed by another.
const events = run({
  files: named.length > 0 ? named : all,
  concurrency: 1,
  timeout: FILE_MAX_MS,
  env: { ...process.env, FAULTS: "long" },
});
events.on("test:pass", (data) => table.take({ type: "test:pass", data }));
events.on("test:fail", (data) => table.take({ type: "test:fail", data }));
events.on("test:diagnostic", (data) => table.take({ type: "test:diagnostic", data }));
const report = events.compose(spec);
for await (const text of report) process.stdout.write(text);

if (named.length === 0) await writeFile(RESULTS, table.text(new Date()));
process.stdout.write(named.length === 0 ? `written: ${basename(RESULTS)}\n` : table.text(new Date()));
process.exitCode = table.isPassed ? 0 : 1;
