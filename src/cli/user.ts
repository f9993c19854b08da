import { resolve } from "node:path";
import { Command } from "commander";
import type { HtpasswdFile } from "../access/htpasswd-file.ts";
import { hashPassword, readNewPassword, readUserName } from "../access/new-user.ts";
import { printable } from "../lib/printable.ts";
import { ValueError } from "../lib/value-error.ts";
import { configurationOf, type GlobalOptions } from "./configuration.ts";
import { CliError } from "./failure.ts";
import type { ExitCode, Invocation, Terminal } from "./terminal.ts";

interface UserOptions extends GlobalOptions {
  readonly file?: string;
  readonly passwordStdin?: boolean;
  readonly json?: boolean;
}

type Work = (terminal: Terminal, options: UserOptions, name: string) => Promise<ExitCode>;

export function userCommand({ terminal, exit }: Invocation): Command {
  const group = new Command("user")
    .summary("who may pull with a password: add, remove, passwd, list")
    .description(
      "Keep the file with users and their passwords' hashes (access.basic.htpasswd). A running cache reads it anew.",
    )
    .addHelpText("after", HELP);
  const add = (name: string, summary: string, hasPassword: boolean, work: Work) => {
    const command = new Command(name)
      .summary(summary)
      .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
      .option("--file <file>", "the password file; by default what the configuration names");
    if (name !== "list") command.argument("<name>", "the user's name");
    else command.option("--json", "print JSON");
    if (hasPassword) command.option("--password-stdin", "read the password from standard input");
    command.action(async (...args: unknown[]) => {
      const self = args.at(-1) as Command;
      exit(await work(terminal, self.optsWithGlobals<UserOptions>(), self.args[0] ?? ""));
    });
    group.addCommand(command);
  };
  add("add", "add a user", true, addUser);
  add("passwd", "give a user another password", true, changePassword);
  add("remove", "remove a user", false, removeUser);
  add("list", "list the users", false, listUsers);
  return group;
}

const HELP = `
Example:
  $ registry-cache user add ci-runner
  $ openssl rand -hex 24 | tee ci.password | registry-cache user add ci-runner --password-stdin`;

async function addUser(terminal: Terminal, options: UserOptions, name: string): Promise<ExitCode> {
  assertName(name);
  const path = await pathOf(terminal, options);
  const assertNew = ({ users }: HtpasswdFile) => {
    if (!users.includes(name)) return;
    throw new CliError(`there is a user ${name} already`, { hint: `registry-cache user passwd ${name}` });
  };
  // Before anybody types a password in vain, and again when nobody else can add it any more.
  assertNew(await read(path));
  const hash = await hashPassword(await passwordOf(terminal, options, name));
  await changed(path, async (file) => {
    assertNew(file);
    file.set(name, hash);
  });
  terminal.out.write(`added ${name} to ${path}\n`);
  return 0;
}

async function changePassword(terminal: Terminal, options: UserOptions, name: string): Promise<ExitCode> {
  const path = await pathOf(terminal, options);
  assertThere(await read(path), name, path);
  const hash = await hashPassword(await passwordOf(terminal, options, name));
  await changed(path, async (file) => {
    assertThere(file, name, path);
    file.set(name, hash);
  });
  terminal.out.write(`${name} has another password now\n`);
  return 0;
}

async function removeUser(terminal: Terminal, options: UserOptions, name: string): Promise<ExitCode> {
  const path = await pathOf(terminal, options);
  await changed(path, async (file) => {
    assertThere(file, name, path);
    file.remove(name);
  });
  terminal.out.write(`removed ${name}\n`);
  return 0;
}

async function listUsers(terminal: Terminal, options: UserOptions): Promise<ExitCode> {
  const path = await pathOf(terminal, options);
  const { isThere, users: unsorted } = await read(path);
  if (!isThere) terminal.err.write(`warning: ${printable(path)} is not there, so that there are no users\n`);
  const users = unsorted.toSorted();
  terminal.out.write(options.json === true ? `${JSON.stringify(users)}\n` : users.map((user) => `${user}\n`).join(""));
  return 0;
}

async function pathOf(terminal: Terminal, options: UserOptions): Promise<string> {
  if (options.file !== undefined) return resolve(terminal.cwd, options.file);
  const { access } = await configurationOf(terminal, options);
  if (access.htpasswd !== undefined) return access.htpasswd;
  const hint = "write `access: { basic: { htpasswd: ./users.htpasswd } }` into the configuration, or use --file";
  throw new CliError("the configuration names no password file", { hint, exitCode: 2 });
}

async function read(path: string): Promise<HtpasswdFile> {
  const module = await import("../access/htpasswd-file.ts");
  try {
    return await module.HtpasswdFile.read(path);
  } catch (error) {
    throw new CliError(`${path} cannot be read (${codeOf(error)})`, { cause: error });
  }
}

async function changed(path: string, change: (file: HtpasswdFile) => Promise<void>): Promise<void> {
  const module = await import("../access/htpasswd-file.ts");
  try {
    await module.HtpasswdFile.change(path, change);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`${path} cannot be written (${codeOf(error)}); nothing was changed`, { cause: error });
  }
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException).code ?? error);
}

function assertName(name: string): void {
  readAs(2, () => readUserName(name));
}

/** What is wrong with a name or a password, in the form in which all commands tell it. */
function readAs<T>(exitCode: ExitCode, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof ValueError) throw new CliError(error.message, { hint: error.hint, exitCode, cause: error });
    throw error;
  }
}

function assertThere(file: HtpasswdFile, name: string, path: string): void {
  if (!file.has(name)) throw new CliError(`there is no user ${name} in ${path}`, { hint: "registry-cache user list" });
}

async function passwordOf({ input }: Terminal, { passwordStdin }: UserOptions, name: string): Promise<string> {
  if (passwordStdin === true) return assertPassword((await input.readAll()).replace(/\r?\n$/, ""));
  if (!input.isTerminal) {
    throw new CliError("there is no terminal to ask for a password", { hint: "use --password-stdin", exitCode: 2 });
  }
  const first = assertPassword(await input.askSecret(`Password for ${name}`));
  const second = await input.askSecret("The same again");
  if (first !== second) throw new CliError("the two passwords differ; nothing was changed");
  return first;
}

function assertPassword(password: string): string {
  return readAs(1, () => readNewPassword(password));
}
