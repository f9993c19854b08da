import { styleText } from "node:util";
import { Command } from "commander";
import type { Logger } from "pino";
import type { App } from "../app.ts";
import type { Config } from "../config/config.ts";
import { formatDuration } from "../lib/units.ts";
import { packageVersion } from "../lib/version.ts";
import { banner, type BannerPaint, startedOf, warningsOf } from "./banner.ts";
import { configurationOf, type GlobalOptions } from "./configuration.ts";
import { type Ending, unlessAsked, watchForEnding } from "./ending.ts";
import { programName } from "./program-name.ts";
import { explainStart } from "./start-errors.ts";
import type { ExitCode, Invocation, Terminal } from "./terminal.ts";

export function serveCommand({ terminal, exit }: Invocation): Command {
  return new Command("serve")
    .summary("serve all registries until stopped")
    .description(
      "Serve all configured registries until stopped; without a configuration, the built-in ones on 127.0.0.1:5000.",
    )
    .addHelpText("after", HELP)
    .action(async (_options: unknown, command: Command) => {
      exit(await serve(terminal, command.optsWithGlobals<GlobalOptions>()));
    });
}

const HELP = `
Example:
  $ registry-cache serve
  $ docker pull 127.0.0.1:5000/docker.io/library/alpine:latest

Ctrl+C or SIGTERM stops it once the responses under way are out, a second one at once.`;

async function serve(terminal: Terminal, options: GlobalOptions): Promise<ExitCode> {
  const flags = options.config === undefined ? "" : ` --config ${options.config}`;
  const config = await configurationOf(terminal, options);
  const { createLogger } = await import("../lib/logger.ts");
  const log = createLogger({ ...config.log, colors: terminal.out.hasColors });
  const ending = watchForEnding(process, (error) => log.fatal({ err: error }, "an error that nothing caught"));
  return await Promise.race([ending.atOnce, serveUntilAsked({ terminal, flags }, config, log, ending)]);
}

interface Typed {
  readonly terminal: Terminal;
  /** `--config FILE`, with a space before it, where that was written. */
  readonly flags: string;
}

async function serveUntilAsked(typed: Typed, config: Config, log: Logger, ending: Ending): Promise<ExitCode> {
  const start = await unlessAsked(started(config, log), ending);
  if ("signal" in start) {
    log.info({ signal: start.signal }, "stopped before it had started");
    return 0;
  }
  const { app, addresses } = start.started;
  announce(typed, config, addresses, log);
  const signal = await ending.asked;
  const atMost = formatDuration(config.stopTimeoutMs);
  log.info({ signal }, `stopping; responses under way have up to ${atMost}, a second signal stops at once`);
  const { cutRequests } = await app.stop();
  log.info(cutRequests === 0 ? {} : { cutRequests }, "stopped");
  return 0;
}

async function started(config: Config, log: Logger): Promise<{ app: App; addresses: readonly string[] }> {
  try {
    // Here and not above: the other commands need none of it, and start sooner without.
    const { createApp } = await import("../app.ts");
    const app = await createApp(config, log);
    try {
      return { app, addresses: (await app.start()).addresses };
    } catch (error) {
      // Why it could not start says more than why what had started could not stop.
      await app.stop().catch((stopError: unknown) => log.debug({ err: stopError }, "stop after a failed start"));
      throw error;
    }
  } catch (error) {
    throw explainStart(error, config);
  }
}

function announce({ terminal, flags }: Typed, config: Config, addresses: readonly string[], log: Logger): void {
  const version = packageVersion();
  const facts = startedOf(config, addresses, `${programName(terminal)} connect docker${flags}`);
  if (config.log.format === "pretty") terminal.out.write(banner(facts, version, paint(terminal)));
  else log.info({ version, ...facts }, "serving");
  for (const warning of warningsOf(config, facts)) log.warn(warning);
}

function paint(terminal: Terminal): BannerPaint {
  if (!terminal.out.hasColors) return { strong: (text) => text, quiet: (text) => text };
  // The terminal was looked at already.
  const options = { validateStream: false };
  return { strong: (text) => styleText("bold", text, options), quiet: (text) => styleText("dim", text, options) };
}
