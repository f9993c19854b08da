import { Command } from "commander";
import { effectiveObject, effectiveYaml } from "../config/effective.ts";
import { loadConfig } from "../config/load.ts";
import type { ExitCode, GlobalOptions, Invocation, Terminal } from "./terminal.ts";

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
  $ registry-cache check --config registry-cache.yaml && systemctl restart registry-cache`;

async function check(terminal: Terminal, { config: configPath, json }: CheckOptions): Promise<ExitCode> {
  const config = await loadConfig({
    ...(configPath === undefined ? {} : { configPath }),
    environment: terminal.environment,
    cwd: terminal.cwd,
  });
  const text = json === true ? JSON.stringify(effectiveObject(config), null, 2) : effectiveYaml(config);
  terminal.out(text.endsWith("\n") ? text : `${text}\n`);
  return 0;
}
