import { writeFile } from "node:fs/promises";
import path from "node:path";
import { Bench } from "./bench.ts";
import { findCandidates } from "./candidates/find.ts";
import { Tools } from "./lib/tools.ts";
import { isWhole, type Options, parseOptions, USAGE, UsageError } from "./options.ts";
import { renderReport } from "./report.ts";
import { ALL_ROWS } from "./rows/all.ts";
import { runRounds } from "./run.ts";

const RESULTS = path.join(import.meta.dirname, "results.md");
const INTERRUPTED = 130;

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const tools = Tools.find();
  const rows = ALL_ROWS.filter(({ name }) => name.toLowerCase().includes((options.only ?? "").toLowerCase()));
  if (rows.length === 0) {
    throw new UsageError(`no row has "${options.only}" in its name`, ALL_ROWS.map(({ name }) => name).join("\n      "));
  }
  const startedAt = new Date();
  const { present, missing } = await findCandidates(tools, options, say);
  for (const { name, reason } of missing) say(`${name} is not there: ${reason}`);
  const bench = await Bench.create(options, tools, present);
  const interrupt = (): void => void bench.end().then(() => process.exit(INTERRUPTED));
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  try {
    const names = new Set(present.map(({ name }) => name));
    const measured = await runRounds(bench, rows, names, options.rounds, say);
    const report = await renderReport({ options, args, startedAt, measured, present, missing });
    process.stdout.write(`\n${report}`);
    await keep(options, report);
  } finally {
    await bench.end();
  }
  return 0;
}

async function keep(options: Options, report: string): Promise<void> {
  if (!isWhole(options)) return;
  await writeFile(RESULTS, report);
  say(`written: ${RESULTS}`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  say(`error: ${error.message}\nhint: ${error.hint}`);
  process.exitCode = 2;
}
