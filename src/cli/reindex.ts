import { existsSync } from "node:fs";
import { Command } from "commander";
import { humanSize } from "../lib/human.ts";
import type { ReindexReport } from "../upkeep/reindex-report.ts";
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

What is wrong in the store is passed over and told on standard error. Stop the cache before: while it runs on the data
folder, this command is refused.`;

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
    const report = await reindexStore(config, log);
    terminal.out.write(options.json === true ? `${JSON.stringify(report, null, 2)}\n` : summary(report));
    return 0;
  } catch (error) {
    throw explainStart(error, config);
  }
}

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
