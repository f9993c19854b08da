import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { configurationOf, type GlobalOptions } from "./configuration.ts";
import { type CachePlace, PASSWORD_VARIABLE } from "./control-client.ts";
import { watchForEnding } from "./ending.ts";
import { CliError } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** Of commands that ask the running cache. */
export interface PlaceOptions extends GlobalOptions {
  readonly server?: string;
  readonly user?: string;
  readonly passwordFile?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly ca?: string;
}

export function withPlace(command: Command): Command {
  return command
    .option("--server <url>", "a cache elsewhere; by default the one on this machine, by the socket in its data folder")
    .option("--user <name>", `with --server: who asks; the password comes from ${PASSWORD_VARIABLE}, or is asked for`)
    .option("--password-file <file>", "with --user: a file that has the password")
    .option("--cert <file>", "with --server: your certificate, PEM")
    .option("--key <file>", "its key, PEM")
    .option("--ca <file>", "with --server: the authority of its certificate, PEM");
}

export async function placeOf(terminal: Terminal, options: PlaceOptions): Promise<CachePlace> {
  const { server, user, passwordFile, cert, key, ca } = options;
  if (server === undefined) {
    if ([user, passwordFile, cert, key, ca].some((one) => one !== undefined))
      throw new CliError("--user, --cert and the like say who asks a cache elsewhere", {
        hint: "add --server URL",
        exitCode: 2,
      });
    return (await configurationOf(terminal, options, "err")).dataDir;
  }
  if ((cert === undefined) !== (key === undefined))
    throw new CliError("--cert and --key belong together", { hint: "name both files", exitCode: 2 });
  return {
    url: originOf(server),
    authorization: user === undefined ? undefined : await authorizationOf(terminal, user, passwordFile),
    ca: await textAt(terminal, ca),
    cert: await textAt(terminal, cert),
    key: await textAt(terminal, key),
  };
}

function originOf(server: string): string {
  const text = /^https?:\/\//i.test(server) ? server : `https://${server}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && url.pathname === "/" && url.search === "" && url.username === "") return url.origin;
  const hint = "such as --server https://cache.example.com";
  throw new CliError("--server wants the address of a cache, without a path", { hint, exitCode: 2 });
}

async function authorizationOf(terminal: Terminal, user: string, passwordFile: string | undefined): Promise<string> {
  if (user.includes(":")) throw new CliError("--user: no name has a colon", { exitCode: 2 });
  const password = (await textAt(terminal, passwordFile))?.replace(/\r?\n$/, "") ?? (await passwordOf(terminal));
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

async function passwordOf({ environment, input }: Terminal): Promise<string> {
  const known = environment[PASSWORD_VARIABLE];
  if (known !== undefined) return known;
  if (input.isTerminal) return await input.askSecret("Password");
  const hint = `set ${PASSWORD_VARIABLE}, or name a file with --password-file`;
  throw new CliError("--user wants a password", { hint, exitCode: 2 });
}

async function textAt({ cwd }: Terminal, file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    return await readFile(resolve(cwd, file), "utf8");
  } catch (error) {
    throw new CliError(`${file} cannot be read: ${(error as Error).message}`, { exitCode: 2, cause: error });
  }
}

/** Ends when somebody wants the command to end. */
export function untilAsked(terminal: Terminal, message = "stopped"): AbortSignal {
  const stopping = new AbortController();
  const ending = watchForEnding(process, (error) => terminal.err.write(`${String(error)}\n`));
  void ending.asked.then(() => stopping.abort(new CliError(message)));
  return stopping.signal;
}

export function writeJson({ out }: Terminal, value: unknown): void {
  out.write(`${JSON.stringify(value, undefined, 2)}\n`);
}
