import { Command } from "commander";
import type { Config } from "../config/config.ts";
import { printable } from "../lib/printable.ts";
import { RegistryError } from "../oci/errors.ts";
import { isLoopback } from "../lib/loopback.ts";
import { warningsOf } from "./banner.ts";
import { configurationOf, type GlobalOptions } from "./configuration.ts";
import { CliError } from "./failure.ts";
import type { ExitCode, Invocation, Terminal } from "./terminal.ts";

interface CheckOptions extends GlobalOptions {
  readonly json?: boolean;
  readonly as?: string;
  readonly files?: boolean;
}

export function checkCommand({ terminal, exit }: Invocation): Command {
  return new Command("check")
    .summary("check the configuration and print what it amounts to")
    .description("Check the configuration and print what it amounts to, with all defaults and without secrets.")
    .option("--json", "print JSON")
    .option("--as <name>", "say whether this user may pull the image, by `access`")
    .option("--files", "print which files it consists of, one a line, instead")
    .argument("[image]", "with --as: the image, such as ghcr.io/org/app:1")
    .addHelpText("after", HELP)
    .action(async (image: string | undefined, _options: unknown, command: Command) => {
      exit(await check(terminal, command.optsWithGlobals<CheckOptions>(), image));
    });
}

const HELP = `
Example:
  $ registry-cache check --config new.yaml && cp new.yaml registry-cache.yaml
  $ registry-cache check --as ci-runner ghcr.io/org/app:1

Changes take effect when the cache is started anew.`;

async function check(terminal: Terminal, options: CheckOptions, image: string | undefined): Promise<ExitCode> {
  const config = await configurationOf(terminal, options);
  if (options.as !== undefined || image !== undefined) return await explain(terminal, config, options, image);
  if (options.files === true) return await listFiles(terminal, options);
  const { effectiveObject, effectiveYaml } = await import("../config/effective.ts");
  const text = options.json === true ? JSON.stringify(effectiveObject(config), null, 2) : effectiveYaml(config);
  terminal.out.write(text.endsWith("\n") ? text : `${text}\n`);
  // Beside what a program may read.
  const beyondLoopback = config.listen.some(({ host }) => !isLoopback(host));
  for (const warning of warningsOf(config, { beyondLoopback })) terminal.err.write(`warning: ${printable(warning)}\n`);
  return 0;
}

async function listFiles({ environment, cwd, out }: Terminal, options: CheckOptions): Promise<ExitCode> {
  const { namedFiles } = await import("../config/named-files.ts");
  const configPath = options.config;
  const files = await namedFiles({ ...(configPath === undefined ? {} : { configPath }), environment, cwd });
  out.write(options.json === true ? `${JSON.stringify(files)}\n` : files.map((file) => `${file}\n`).join(""));
  return 0;
}

/** 0 where it may be pulled, 1 where it may not. */
async function explain(
  terminal: Terminal,
  config: Config,
  { as: who, json }: CheckOptions,
  image: string | undefined,
): Promise<ExitCode> {
  if (who === undefined || image === undefined) {
    const message = who === undefined ? "an image is of no use here without --as" : "--as needs an image";
    const isFile = /\.ya?ml$/.test(image ?? "");
    const hint = isFile ? `did you mean --config ${image}?` : "registry-cache check --as ci-runner ghcr.io/org/app:1";
    throw new CliError(message, { hint, exitCode: 2 });
  }
  const { explainAccess, isSomebody, usersOf } = await import("../explain-access.ts");
  const users = await usersOf(config);
  const explanation = explained(() => explainAccess(config, users, who, image));
  if (!isSomebody(config, users, who)) {
    terminal.err.write(`warning: no user, secret path or certificate here is called ${printable(who)}\n`);
  }
  terminal.out.write(json === true ? `${JSON.stringify(explanation)}\n` : `${printable(explanation.text)}\n`);
  return explanation.isAllowed ? 0 : 1;
}

function explained<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof RegistryError) throw new CliError(error.message, { exitCode: 2, cause: error });
    throw error;
  }
}
