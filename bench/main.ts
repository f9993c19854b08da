import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Bench, planCores } from "./bench.ts";
import { findCandidates } from "./candidates/find.ts";
import { InterruptedError } from "./lib/processes.ts";
import { Tools } from "./lib/tools.ts";
import { isWhole, type Options, parseOptions, USAGE, UsageError } from "./options.ts";
import { renderProfiles } from "./profile.ts";
import { renderReport } from "./report.ts";
import { ALL_ROWS } from "./rows/all.ts";
import type { Row } from "./rows/row.ts";
import { runRounds } from "./run.ts";
import { createWorld } from "./world.ts";

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
  const rows = chooseRows(options);
  const startedAt = new Date();
  const { present, missing } = await findCandidates(tools, options, say);
  for (const { name, reason } of missing) say(`${name} is not there: ${reason}`);
  const profiles = options.profile === undefined ? undefined : await mkdtemp(path.join(tmpdir(), "profile-"));
  const { seconds, quick } = options;
  const cores = planCores();
  const world = await createWorld({ tools, cores, quick, signal: interruption() });
  try {
    const bench = new Bench({ world, candidates: present, cores, seconds, quick, profiles });
    if (profiles !== undefined) return await profile(bench, rows, profiles);
    const names = new Set(present.map(({ name }) => name));
    const measured = await runRounds(bench, rows, names, options.rounds, say);
    const report = await renderReport({ options, args, startedAt, measured, present, missing, others: bench.others });
    process.stdout.write(`\n${report}`);
    await keep(options, report);
  } finally {
    await world.end();
  }
  return 0;
}

/** Aborted by the first Ctrl+C; a second one ends at once. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  const interrupt = (): void => controller.abort(new InterruptedError("interrupted"));
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  return controller.signal;
}

function chooseRows({ only, profile: profiled, quick }: Options): Row[] {
  const text = (profiled ?? only ?? "").toLowerCase();
  const rows = ALL_ROWS.filter(({ name }) => name.toLowerCase().includes(text));
  if (rows.length === 0) {
    const names = ALL_ROWS.map(({ name }) => `  ${name}`).join("\n");
    throw new UsageError(`no row has "${text}" in its name`, `the rows are\n${names}`);
  }
  return quick ? rows.filter(({ once }) => once !== true) : rows;
}

/** The first of the rows, under the profiler. */
async function profile(bench: Bench, rows: readonly Row[], folder: string): Promise<number> {
  for (const row of rows.slice(0, 1)) say(`${row.name}: ${JSON.stringify(await bench.measure(row, "ours"))}`);
  process.stdout.write(await renderProfiles(folder));
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
  if (error instanceof UsageError) say(`error: ${error.message}\nhint: ${error.hint}`);
  else if (error instanceof InterruptedError) say("interrupted");
  else throw error;
  process.exitCode = error instanceof UsageError ? 2 : INTERRUPTED;
}
