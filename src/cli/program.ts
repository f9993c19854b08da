import { Command, CommanderError } from "commander";
import { packageVersion } from "../lib/version.ts";
import { certificateCommand } from "./certificate.ts";
import { connectCommand } from "./connect.ts";
import { checkCommand } from "./check.ts";
import { configCommand } from "./config.ts";
import { doctorCommand } from "./doctor.ts";
import { CliError, failureOf } from "./failure.ts";
import { importCommand } from "./import.ts";
import { healthCommand } from "./health.ts";
import { reindexCommand } from "./reindex.ts";
import { scrubCommand } from "./scrub.ts";
import { serveCommand } from "./serve.ts";
import type { ExitCode, Invocation, Terminal } from "./terminal.ts";
import { userCommand } from "./user.ts";
import { statusCommand } from "./status.ts";
import { lsCommand } from "./ls.ts";
import { historyCommand, showCommand } from "./show.ts";
import { pinCommand, unpinCommand } from "./pin.ts";
import { evictCommand, pruneCommand } from "./evict.ts";
import { warmCommand } from "./warm.ts";

const NAME = "registry-cache";
/** Of the library's errors. */
const HELP_PRINTED_CODE = "commander.help";

/** Runs one command line; never rejects. Errors are told on standard error. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  const exit = (code: ExitCode): void => {
    exitCode = code;
  };
  const program = programOf({ terminal, exit });
  try {
    if (args.length === 0) {
      program.outputHelp({ error: true });
      return 2;
    }
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    // Help and version end the library's work with an "error" of their own.
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    // Help was printed because nothing better could be said.
    if (error instanceof CommanderError && error.code === HELP_PRINTED_CODE) return 2;
    const failure = failureOf(error instanceof CommanderError ? usageError(error, helpFor(args, program)) : error);
    terminal.err.write(failure.text);
    return failure.exitCode;
  }
}

function programOf(invocation: Invocation): Command {
  const { terminal } = invocation;
  const program = new Command(NAME)
    .description(
      "One cache between your container hosts and the public registries: every image crosses the internet once.",
    )
    .option(
      "-c, --config <file>",
      "the configuration; by default REGISTRY_CACHE_CONFIG, ./registry-cache.yaml or /etc/registry-cache/registry-cache.yaml",
    )
    .version(packageVersion(), "-V, --version", "print the version")
    .helpCommand("help [command]", "print help for a command")
    .addHelpText("after", HELP);
  for (const commandOf of [
    configCommand,
    serveCommand,
    checkCommand,
    connectCommand,
    doctorCommand,
    importCommand,
    statusCommand,
    lsCommand,
    showCommand,
    historyCommand,
    warmCommand,
    pinCommand,
    unpinCommand,
    evictCommand,
    pruneCommand,
    userCommand,
    certificateCommand,
    scrubCommand,
    reindexCommand,
    healthCommand,
  ]) {
    program.addCommand(commandOf(invocation));
  }
  for (const command of [program, ...program.commands.flatMap((one) => [one, ...one.commands])]) {
    command
      .helpOption("-h, --help", "print help")
      .exitOverride()
      .allowExcessArguments(false)
      .configureHelp({ showGlobalOptions: command !== program })
      .configureOutput({
        writeOut: (text) => terminal.out.write(text),
        writeErr: (text) => terminal.err.write(text),
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
function usageError(error: CommanderError, help: string): CliError {
  const [first = "", suggestion] = error.message.split("\n");
  const didYouMean = /^\(D(id you mean .*)\)$/.exec(suggestion ?? "")?.[1];
  const hint = meantBy(first) ?? (didYouMean === undefined ? `see ${help}` : `d${didYouMean}`);
  return new CliError(first.replace(/^error: /, ""), { hint, exitCode: 2, cause: error });
}

const ADDRESS_HINT = "set `listen` in the configuration or REGISTRY_CACHE_LISTEN, such as 127.0.0.1:5001";

/** Words that other programs have for what is meant. */
const MEANT: Readonly<Record<string, string>> = {
  start: `did you mean ${NAME} serve?`,
  run: `did you mean ${NAME} serve?`,
  up: `did you mean ${NAME} serve?`,
  validate: `did you mean ${NAME} check?`,
  setup: `did you mean ${NAME} config?`,
  init: `did you mean ${NAME} config?`,
  list: `did you mean ${NAME} ls?`,
  images: `did you mean ${NAME} ls?`,
  inspect: `did you mean ${NAME} show?`,
  rm: `did you mean ${NAME} evict?`,
  rmi: `did you mean ${NAME} evict?`,
  remove: `did you mean ${NAME} evict?`,
  delete: `did you mean ${NAME} evict?`,
  gc: `did you mean ${NAME} prune?`,
  top: `did you mean ${NAME} status --watch?`,
  stats: `did you mean ${NAME} status?`,
  pull: `did you mean ${NAME} warm?`,
  preload: `did you mean ${NAME} warm?`,
  prefetch: `did you mean ${NAME} warm?`,
  migrate: `did you mean ${NAME} import?`,
  load: `did you mean ${NAME} import?`,
  "--port": ADDRESS_HINT,
  "-p": ADDRESS_HINT,
  "--listen": ADDRESS_HINT,
  "--host": ADDRESS_HINT,
  "-v": "did you mean --version?",
  "--data-dir": "set `data_dir` in the configuration or REGISTRY_CACHE_DATA_DIR",
};

/** The library quotes the word that it does not know. */
function meantBy(message: string): string | undefined {
  const file = /^error: too many arguments.* (\S+\.ya?ml)\.$/.exec(message)?.[1];
  if (file !== undefined) return `did you mean --config ${file}?`;
  const word = /^error: unknown (?:command|option) '([^'=]*)/.exec(message)?.[1] ?? "";
  return Object.hasOwn(MEANT, word) ? MEANT[word] : undefined;
}

/** Where the use of the command that was meant is told. */
function helpFor(args: readonly string[], program: Command): string {
  const command = program.commands.find((known) => args.includes(known.name()));
  return command === undefined ? `${NAME} --help` : `${NAME} ${command.name()} --help`;
}
