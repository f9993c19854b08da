import { Command, CommanderError } from "commander";
import { packageVersion } from "../lib/version.ts";
import { checkCommand } from "./check.ts";
import { CliError, failureOf } from "./failure.ts";
import { reindexCommand } from "./reindex.ts";
import { serveCommand } from "./serve.ts";
import type { ExitCode, Invocation, Terminal } from "./terminal.ts";

const NAME = "registry-cache";

/** Runs one command line; never rejects. Errors are told on standard error. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  const exit = (code: ExitCode): void => {
    exitCode = code;
  };
  const program = programOf({ terminal, exit });
  try {
    if (args.length === 0) {
      terminal.err(program.helpInformation());
      return 2;
    }
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const failure = failureOf(error instanceof CommanderError ? usageError(error) : error);
    terminal.err(failure.text);
    return failure.exitCode;
  }
}

function programOf(invocation: Invocation): Command {
  const { terminal } = invocation;
  const program = new Command(NAME)
    .description(
      "One cache between your container hosts and the public registries: every image crosses the internet once.",
    )
    .option("-c, --config <file>", "the configuration; by default ./registry-cache.yaml where there is one")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .addHelpText("after", HELP);
  for (const command of [serveCommand(invocation), checkCommand(invocation), reindexCommand(invocation)]) {
    program.addCommand(command);
  }
  for (const command of [program, ...program.commands]) {
    command
      .exitOverride()
      .allowExcessArguments(false)
      .configureHelp({ showGlobalOptions: command !== program })
      .configureOutput({
        writeOut: (text) => terminal.out(text),
        writeErr: (text) => terminal.err(text),
        // What it says is thrown as well, and told in our own form.
        outputError: () => undefined,
      });
  }
  return program;
}

const HELP = `
Example:
  $ ${NAME} serve
  $ docker pull 127.0.0.1:5000/docker.io/library/alpine:latest`;

/** The library's message may be followed by its suggestion on a line of its own, which is our hint. */
function usageError(error: CommanderError): CliError {
  const [first = "", suggestion] = error.message.split("\n");
  const hint =
    suggestion === undefined || suggestion === "" ? `see ${NAME} --help` : suggestion.replace(/^\((.*)\)$/, "$1");
  return new CliError(first.replace(/^error: /, ""), { hint, exitCode: 2, cause: error });
}
