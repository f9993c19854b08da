import { existsSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { Command } from "commander";
import { humanSize } from "../lib/human.ts";
import type { ReindexReport } from "../upkeep/reindex-report.ts";
import { DataFolderBusyError } from "../store/lock.ts";
import { untilAsked } from "./cache-place.ts";
import { askCache } from "./control-client.ts";
import { configurationOf, type GlobalOptions } from "./configuration.ts";
import { CliError } from "./failure.ts";
import { explainStart } from "./start-errors.ts";
import type { ExitCode, Invocation, Terminal } from "./terminal.ts";

interface ReindexOptions extends GlobalOptions {
  readonly json?: boolean;
}

export function reindexCommand({ terminal, exit }: Invocation): Command {
  return new Command("reindex")
    .summary("rebuild the catalog from the stored images")
    .description(
      "Rebuild the catalog (statistics, lists) from the stored images. The images themselves are not touched.",
    )
    .option("--json", "print the report as JSON")
    .addHelpText("after", HELP)
    .action(async (_options: unknown, command: Command) => {
      exit(await reindex(terminal, command.optsWithGlobals<ReindexOptions>()));
    });
}

const HELP = `
Example:
  $ registry-cache reindex --json | jq .repositories

Where a cache runs on the data folder, it does this itself, beside the pulls. What is wrong in the store is passed over and
told in the log: on standard error, or in that of the running cache.`;

async function reindex(terminal: Terminal, options: ReindexOptions): Promise<ExitCode> {
  const config = await configurationOf(terminal, options, "err");
  const { createLogger } = await import("../lib/logger.ts");
  const log = createLogger({ ...config.log, descriptor: 2, colors: terminal.err.hasColors });
  if (!existsSync(config.dataDir)) {
    const hint = "set `data_dir` or REGISTRY_CACHE_DATA_DIR to the folder that the cache keeps its data in";
    throw new CliError(`${config.dataDir}: no such folder, so there is nothing to read`, { hint });
  }
  try {
    const { reindexStore } = await import("../app.ts");
    return told(terminal, options, await reindexStore(config, log));
  } catch (error) {
    if (!(error instanceof DataFolderBusyError)) throw explainStart(error, config);
    return told(terminal, options, await byTheRunning(terminal, config.dataDir, explainStart(error, config)));
  }
}

function told(terminal: Terminal, { json }: ReindexOptions, report: ReindexReport): ExitCode {
  terminal.out.write(json === true ? `${JSON.stringify(report, null, 2)}\n` : summary(report));
  return 0;
}

/** The cache that runs on the folder does it; `busy` where it is something else that works there. */
async function byTheRunning(terminal: Terminal, dataDir: string, busy: unknown): Promise<ReindexReport> {
  const signal = untilAsked(terminal, "no longer waited for; the running cache goes on");
  const path = "/api/v1/reindex";
  try {
    await askCache(dataDir, { method: "POST", path, body: {}, signal });
  } catch (error) {
    const reason = error instanceof CliError ? error.cause : undefined;
    const isNobodyThere = reason instanceof Error && "code" in reason && NOBODY_THERE_CODES.has(String(reason.code));
    throw isNobodyThere ? busy : error;
  }
  for (;;) {
    const state = (await askCache(dataDir, { method: "GET", path, signal })) as ToldReindex;
    if (state.report !== undefined) return state.report;
    if (!state.isRunning) throw new CliError(`the catalog could not be rebuilt: ${state.failure ?? "it was stopped"}`);
    await pause(ASK_EVERY_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

interface ToldReindex {
  readonly isRunning: boolean;
  readonly report?: ReindexReport;
  readonly failure?: string;
}

/** Of a socket that nobody listens on. */
const NOBODY_THERE_CODES: ReadonlySet<string> = new Set(["ENOENT", "ECONNREFUSED"]);
/** How often the running cache is asked how far it is. */
const ASK_EVERY_MS = 500;

/** One line, or two where there was something to complain about. */
export function summary(report: ReindexReport): string {
  const { repositories, manifests, tags, blobs, bytes, problemCount } = report;
  const found = [
    counted(repositories, "repository", "repositories"),
    counted(manifests, "manifest", "manifests"),
    counted(tags, "tag", "tags"),
    counted(blobs, "blob", "blobs"),
  ];
  const problems =
    problemCount === 0 ? "" : `${counted(problemCount, "problem", "problems")} in the store, passed over\n`;
  return `catalog rebuilt: ${found.join(", ")}, ${humanSize(bytes)}\n${problems}`;
}

function counted(count: number, one: string, more: string): string {
  return `${count} ${count === 1 ? one : more}`;
}
