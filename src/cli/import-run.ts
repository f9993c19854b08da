import { createLogger } from "../lib/logger.ts";
import type { Config } from "../config/config.ts";
import { importImages, type ImportRequest, type Importing, planOf } from "../import.ts";
import { DataFolderBusyError } from "../store/lock.ts";
import { NoRoomError } from "../store/store.ts";
import { type ImportPlan, type ImportReport, ImportTally } from "../upkeep/import/report.ts";
import { ImportError } from "../upkeep/import/source.ts";
import { configurationOf, type GlobalOptions } from "./configuration.ts";
import { watchForEnding } from "./ending.ts";
import { CliError } from "./failure.ts";
import { planLine, planText, problemsText, progressLine, reportText } from "./import-text.ts";
import { Progress, Rate } from "./progress.ts";
import { explainStart } from "./start-errors.ts";
import type { ExitCode, Terminal } from "./terminal.ts";

export interface ImportOptions extends GlobalOptions {
  readonly registry?: string;
  readonly as?: string;
  readonly dryRun?: boolean;
  readonly public?: boolean;
  readonly private?: boolean;
  readonly json?: boolean;
}

/** What `registry-cache import` does. */
export async function importPath(terminal: Terminal, path: string, options: ImportOptions): Promise<ExitCode> {
  const config = await configurationOf(terminal, options, "err");
  const request: ImportRequest = {
    path,
    registryId: options.registry,
    as: options.as,
    openness: options.public === true ? "public" : options.private === true ? "private" : "ask",
  };
  const stopping = new AbortController();
  const ending = watchForEnding(process, (error) => terminal.err.write(`${String(error)}\n`));
  void ending.asked.then(() => stopping.abort(new StoppedError()));
  try {
    if (options.dryRun === true) return planned(terminal, options, await planOf(config, request, stopping.signal));
    const work = imported(terminal, options, async (importing) => {
      const log = createLogger({ ...config.log, descriptor: 2, colors: terminal.err.hasColors });
      return await importImages(config, request, { ...importing, log, signal: stopping.signal });
    });
    return await Promise.race([work, ending.atOnce]);
  } catch (error) {
    throw explained(error, config);
  }
}

/** Asked to stop, which is no failure of anything. */
class StoppedError extends Error {
  override readonly name = "StoppedError";
}

function planned(terminal: Terminal, { json }: ImportOptions, plan: ImportPlan): ExitCode {
  if (json === true) {
    terminal.out.write(`${JSON.stringify({ dryRun: true, ...plan }, null, 2)}\n`);
    return 0;
  }
  terminal.err.write(problemsText(plan));
  terminal.out.write(planText(plan));
  return 0;
}

async function imported(
  terminal: Terminal,
  { json }: ImportOptions,
  run: (importing: Omit<Importing, "log" | "signal">) => Promise<ImportReport>,
): Promise<ExitCode> {
  const tally = new ImportTally();
  const rate = new Rate();
  let plan: ImportPlan | undefined;
  let isOver = false;
  const progress = new Progress(terminal.err, () => {
    const perSecond = rate.at(performance.now(), tally.bytesRead);
    return [isOver ? "bringing the catalog up to date" : progressLine(plan, tally, perSecond)];
  });
  progress.start();
  try {
    const report = await run({
      tally,
      onPlan: (found) => {
        plan = found;
        progress.say(planLine(found));
      },
      onCatalog: () => {
        isOver = true;
      },
    });
    progress.stop();
    if (json !== true) terminal.err.write(problemsText(report));
    terminal.out.write(json === true ? `${JSON.stringify(report, null, 2)}\n` : reportText(report));
    return report.damaged > 0 ? 1 : 0;
  } finally {
    progress.stop();
  }
}

/** Into the operator's words. */
function explained(error: unknown, config: Config): unknown {
  if (error instanceof StoppedError)
    return new CliError("stopped before it was done", {
      hint: "what was taken stays; run it again to go on",
      cause: error,
    });
  if (error instanceof NoRoomError) {
    const hint = "what was taken stays; make room on that disk and run it again to go on";
    return new CliError(`${config.dataDir}: ${error.message}`, { hint, cause: error });
  }
  if (error instanceof ImportError) return new CliError(error.message, { hint: error.hint, cause: error });
  if (error instanceof DataFolderBusyError)
    return new CliError(error.message, {
      hint: "stop it for as long as the import takes; a dry run may be made beside it",
      cause: error,
    });
  return explainStart(error, config);
}
