import { existsSync } from "node:fs";
import { basename } from "node:path";
import { ConfigError } from "../config/errors.ts";
import { CONFIG_FILE_NAME } from "../config/files.ts";
import { printable } from "../lib/printable.ts";
import { shortPath } from "../lib/short-path.ts";
import { packageVersion } from "../lib/version.ts";
import { type Answers, answersOf } from "../wizard/answers.ts";
import { type Asker, GivenUp } from "../wizard/asker.ts";
import { converse } from "../wizard/converse.ts";
import {
  changedPaths,
  overridden,
  type Prepared,
  prepare,
  readTarget,
  type Target,
  write,
  writeProblem,
} from "../wizard/files.ts";
import { planOf } from "../wizard/flags.ts";
import { machine } from "../wizard/machine.ts";
import type { Plan } from "../wizard/plan.ts";
import { trialText } from "../wizard/questions/accounts.ts";
import type { Talk } from "../wizard/questions/world.ts";
import { isLoopback } from "../lib/loopback.ts";
import { warningsOf } from "./banner.ts";
import type { ConfigOptions } from "./config.ts";
import { explainedConfig } from "./config-errors.ts";
import { nextSteps, reviewOf } from "./config-review.ts";
import { secretsOf } from "./config-secrets.ts";
import { configurationOf } from "./configuration.ts";
import { CliError } from "./failure.ts";
import { isCheckout, programName } from "./program-name.ts";
import type { Terminal } from "./terminal.ts";

/** `given`: which flags that answer a question were written. */
export async function runConfig(terminal: Terminal, options: ConfigOptions, given: readonly string[]): Promise<void> {
  const { input, out } = terminal;
  const isSilent = options.nonInteractive === true;
  if (!isSilent && (!input.isTerminal || !out.isTerminal)) {
    throw new CliError("there is no terminal to ask questions on", { hint: NO_TERMINAL_HINT, exitCode: 2 });
  }
  if (!isSilent && given.length > 0) {
    const hint = `write --non-interactive beside it, or leave ${given.length === 1 ? "it" : "them"} out to be asked`;
    throw new CliError(`${given.join(", ")}: of use without questions alone`, { hint, exitCode: 2 });
  }
  await explainedConfig(async () => {
    const { environment, cwd } = terminal;
    const target = await readTarget({ environment, cwd, configPath: options.config });
    // Rather now than after the last question.
    const problem = options.dryRun === true ? undefined : await writeProblem(target);
    if (problem !== undefined) throw new CliError(problem, { hint: "by another user, or elsewhere: --config FILE" });
    // What cannot be loaded cannot be understood either.
    if (!target.isNew) await configurationOf(terminal, { ...options, config: target.name });
    const before = answersOf(target);
    if (isSilent) await withoutQuestions(terminal, options, target, before);
    else await withQuestions(terminal, options, target, before);
  });
}

const NO_TERMINAL_HINT = "use --non-interactive; `registry-cache config --help` shows what goes with it";

async function withoutQuestions(
  terminal: Terminal,
  options: ConfigOptions,
  target: Target,
  before: Answers,
): Promise<void> {
  const { environment, cwd, out, err } = terminal;
  const plan = planOf(before, options, await secretsOf(terminal, options));
  if (options.test) await testAccounts(terminal, target, plan);
  const prepared = await prepare(target, plan, { environment, cwd }).catch((error: unknown) => {
    // The lines that it names are not in any file.
    if (error instanceof ConfigError) err.write(`nothing was written, since the cache would refuse ${target.name}:\n`);
    throw error;
  });
  const warnings = warningsFor(terminal, prepared);
  for (const warning of warnings) err.write(`warning: ${printable(warning)}\n`);
  const changed = changedPaths(target, prepared);
  const isWritten = options.dryRun !== true && changed.length > 0;
  const told = () => out.write(`${JSON.stringify({ file: target.path, isWritten, changed, warnings }, null, 2)}\n`);
  if (options.dryRun === true) return options.json === true ? told() : out.write(prepared.yaml);
  const there = options.yes === true ? undefined : changed.find((path) => existsSync(path));
  const review = { cwd, isRefused: there !== undefined };
  if (options.json !== true && isWritten) out.write(`${reviewOf(target, prepared, review)}\n\n`);
  if (there !== undefined) {
    const message = `${shortPath(there, cwd)} is there already, and would become another; nothing was written`;
    throw new CliError(message, { hint: "--yes changes it, --dry-run prints all of it" });
  }
  if (isWritten) await write(target, prepared);
  if (options.json === true) return told();
  const files = changed.map((path) => `wrote ${shortPath(path, cwd)}\n`);
  out.write(files.length === 0 ? `${target.name} says all of that already\n` : files.join(""));
}

/** A password that is wrong is worth an error now, for the cache would go on without a word to whoever typed it. */
async function testAccounts(terminal: Terminal, target: Target, { answers }: Plan): Promise<void> {
  const { environment, cwd } = terminal;
  const world = machine(target, { environment, cwd, version: packageVersion() });
  for (const registry of answers.registries) {
    if (registry.credentials.kind !== "basic") continue;
    const trial = await world.tryRegistry(registry, registry.credentials, new AbortController().signal);
    const text = trialText(trial, registry);
    if (trial.verdict === "refused") {
      throw new CliError(`${text}; nothing was written`, { hint: "--no-test writes it all the same" });
    }
    terminal.err.write(trial.verdict === "taken" ? `${text}\n` : `warning: ${text}\n`);
  }
}

async function withQuestions(
  terminal: Terminal,
  options: ConfigOptions,
  target: Target,
  before: Answers,
): Promise<void> {
  const { environment, cwd } = terminal;
  const asker = await terminal.input.asker();
  asker.begin(`Registry Cache: ${target.name}${target.isNew ? ", which is new" : ""}`);
  asker.say("step", "Enter takes what is offered. Ctrl+C leaves everything as it is.");
  const world = machine(target, { environment, cwd, version: packageVersion() });
  const prepared = await preparedByQuestions({ asker, world, before, isNew: target.isNew }, terminal, target);
  if (options.dryRun === true) terminal.out.write(`\n${prepared.yaml}`);
  else await reviewed(asker, { terminal, options, target, prepared });
}

/** What the cache would refuse can be answered anew, with what was answered before as what is offered. */
async function preparedByQuestions(talk: Talk, { environment, cwd }: Terminal, target: Target): Promise<Prepared> {
  let { before, isNew } = talk;
  for (;;) {
    const plan = await converse({ ...talk, before, isNew });
    try {
      return await prepare(target, plan, { environment, cwd });
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      talk.asker.show("The cache would refuse that", error.render());
      if (!(await talk.asker.confirm("Go through the questions once more, with these answers?", false))) {
        throw new CliError("nothing was written, since the cache would refuse it", { exitCode: 2, cause: error });
      }
      [before, isNew] = [plan.answers, false];
    }
  }
}

interface Review {
  readonly terminal: Terminal;
  readonly options: ConfigOptions;
  readonly target: Target;
  readonly prepared: Prepared;
}

async function reviewed(asker: Asker, { terminal, options, target, prepared }: Review): Promise<void> {
  for (const warning of warningsFor(terminal, prepared)) asker.say("warning", printable(warning));
  const changed = changedPaths(target, prepared);
  if (changed.length > 0) {
    asker.show("What is written", reviewOf(target, prepared, { cwd: terminal.cwd, isRefused: false }));
    if (options.yes !== true && !(await asker.confirm("Write it?", true))) throw new GivenUp();
    await uninterrupted(async () => await write(target, prepared));
    asker.say("done", "Written.");
  } else asker.say("done", "Nothing changes.");
  const flags = options.config === undefined ? "" : ` --config ${options.config}`;
  // What make installs is the file of the usual name.
  const isInstalled = isCheckout(target.folder) && basename(target.path) === CONFIG_FILE_NAME;
  const typed = { program: programName(terminal), flags, install: isInstalled ? "make install" : undefined };
  asker.show("What comes next", nextSteps(prepared, typed));
  asker.end(`${target.name} can be edited by hand, too; this may be run again.`);
}

function warningsFor({ environment }: Terminal, { config, ...sources }: Prepared): string[] {
  const beyondLoopback = config.listen.some(({ host }) => !isLoopback(host));
  return [...overridden(environment, sources), ...warningsOf(config, { beyondLoopback })];
}

/** It is done in a moment, and half of it would be worse. */
async function uninterrupted(work: () => Promise<void>): Promise<void> {
  const wait = () => undefined;
  process.on("SIGINT", wait);
  try {
    await work();
  } finally {
    process.off("SIGINT", wait);
  }
}
