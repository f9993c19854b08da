import { Command } from "commander";
import type { Flags } from "../wizard/flags.ts";
import { addAnswers, answersGiven } from "./config-options.ts";
import type { GlobalOptions } from "./configuration.ts";
import type { Invocation } from "./terminal.ts";

export interface ConfigOptions extends GlobalOptions, Flags {
  readonly nonInteractive?: boolean;
  readonly passwordStdin?: boolean;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
  /** `--no-test`. */
  readonly test: boolean;
}

export function configCommand({ terminal, exit }: Invocation): Command {
  const command = new Command("config")
    .summary("make a configuration, or change it, by questions")
    .description(
      "Ask for a configuration and write it: registries, addresses, TLS, who may pull, accounts, disk. Enter takes what is offered. What is there already is changed, not written anew; Ctrl+C leaves everything as it is.",
    )
    .option("--non-interactive", "ask nothing: the options below say what is to be different")
    .option("--yes", "change what is there without asking")
    .option("--dry-run", "print the configuration instead of writing it")
    .option("--json", "with --non-interactive: print what was written as JSON")
    .option("--no-test", "with --non-interactive: do not ask registries whether they take the accounts");
  return addAnswers(command)
    .option(
      "--password-stdin",
      "read passwords from standard input, a line each: the user's, then the accounts' in their order",
    )
    .addHelpText("after", HELP)
    .action(async (_options: unknown, self: Command) => {
      // Here and not above: no other command needs any of it.
      const { runConfig } = await import("./config-run.ts");
      await runConfig(terminal, self.optsWithGlobals<ConfigOptions>(), answersGiven(self));
      exit(0);
    });
}

const HELP = `
Example:
  $ registry-cache config
  $ registry-cache config --non-interactive --listen 0.0.0.0:5000 --hostname-all cache.example.com --tls own --network 10.0.0.0/8
  $ registry-cache config --non-interactive --username dockerhub=me --password-stdin --yes < hub.password

Passwords of accounts go into .env beside the configuration, which nobody else can read. A file that is there is changed
with --yes alone, and only where the options say so; without it this command shows what would change, and fails.`;
