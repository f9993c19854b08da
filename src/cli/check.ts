import { Command } from "commander";
import { printable } from "../lib/printable.ts";
import { configurationOf, type GlobalOptions } from "./configuration.ts";
import type { ExitCode, Invocation, Terminal } from "./terminal.ts";

interface CheckOptions extends GlobalOptions {
  readonly json?: boolean;
}

export function checkCommand({ terminal, exit }: Invocation): Command {
  return new Command("check")
    .summary("check the configuration and print what it amounts to")
    .description("Check the configuration and print what it amounts to, with all defaults and without secrets.")
    .option("--json", "print JSON")
    .addHelpText("after", HELP)
    .action(async (_options: unknown, command: Command) => {
      exit(await check(terminal, command.optsWithGlobals<CheckOptions>()));
    });
}

const HELP = `
Example:
  $ registry-cache check --config new.yaml && cp new.yaml registry-cache.yaml

Changes take effect when the cache is started anew.`;

async function check(terminal: Terminal, options: CheckOptions): Promise<ExitCode> {
  const config = await configurationOf(terminal, options);
  const { effectiveObject, effectiveYaml } = await import("../config/effective.ts");
  const text = options.json === true ? JSON.stringify(effectiveObject(config), null, 2) : effectiveYaml(config);
  terminal.out.write(text.endsWith("\n") ? text : `${text}\n`);
  // Beside what a program may read.
  for (const warning of config.warnings) terminal.err.write(`warning: ${printable(warning)}\n`);
  return 0;
}
