import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { Command } from "commander";
import type { AskOptions } from "../connect/ask.ts";
import type { Client, ConnectOptions } from "../connect/client.ts";
import type { KnownSecrets } from "../connect/script.ts";
import type { CacheView } from "../connect/view.ts";
import { configurationOf, type GlobalOptions } from "./configuration.ts";
import { CliError } from "./failure.ts";
import { assertTarget, runScript, type ScriptHost } from "./run-script.ts";
import type { ExitCode, Invocation, Terminal } from "./terminal.ts";

export interface ConnectCommandOptions extends GlobalOptions {
  readonly server?: string;
  readonly apply?: boolean;
  readonly diff?: boolean;
  readonly undo?: boolean;
  readonly script?: boolean;
  readonly json?: boolean;
  readonly yes?: boolean;
  readonly ssh?: string;
  readonly sudo?: boolean;
  readonly user?: boolean;
  readonly restart?: boolean;
  readonly replace?: boolean;
  readonly variant?: string;
  readonly only?: string;
  readonly fallback: boolean;
  readonly login?: string;
  readonly passwordStdin?: boolean;
  readonly cert?: string;
  readonly key?: string;
  readonly ca?: string;
  readonly pathTokenFile?: string;
}

export function connectCommand({ terminal, exit }: Invocation): Command {
  return new Command("connect")
    .summary("set a client up: docker, containerd, podman, ...")
    .description(
      "Print the settings by which a client pulls through this cache; write them on this host (--apply) or another (--ssh).",
    )
    .argument("[client]", "docker, containerd, podman, ...; without it they are listed")
    .option("--server <url>", "the cache, where it is not the one that the configuration describes")
    .option("--apply", "show what changes, and write it")
    .option("--diff", "show what --apply would change")
    .option("--undo", "put everything back as it was before --apply")
    .option("--ssh <user@host>", "do it there, by ssh")
    .option("--sudo", "with --ssh: by sudo there, which must not ask for a password")
    .option("--script", "print the script that does all of this, for hosts without Node.js")
    .option("--variant <name>", "the kind of client, where it is not the one that is found on this host")
    .option("--only <names>", "registries, by the names they serve, separated by commas")
    .option("--no-fallback", "never ask the registry itself, also where the cache fails")
    .option("--user", "the settings of this user, for rootless clients")
    .option("--restart", "reload or restart the client afterwards, where it wants that")
    .option("--replace", "also replace settings that somebody else has made")
    .option("-y, --yes", "do not ask before writing, or undoing")
    .option("--login <name>", "the user that clients show the cache; its password is asked for")
    .option("--password-stdin", "with --login: read the password from standard input")
    .option("--cert <file>", "the client's certificate, PEM")
    .option("--key <file>", "its key, PEM")
    .option("--path-token-file <file>", "a file with the token of a secret path")
    .option("--ca <file>", "the authority of the cache's certificate, PEM, where systems do not trust it")
    .option("--json", "print JSON")
    .addHelpText("after", HELP)
    .action(async (word: string | undefined, _options: unknown, command: Command) => {
      exit(await connect(terminal, command.optsWithGlobals<ConnectCommandOptions>(), word));
    });
}

const HELP = `
Example:
  $ registry-cache connect docker
  $ sudo registry-cache connect containerd --apply --server https://cache.example.com
  $ registry-cache connect podman --ssh root@host-1 --apply --cert host-1.pem --key host-1-key.pem
  $ curl -fsSL https://cache.example.com/connect/containerd | sudo sh        # on hosts without Node.js`;

/** What is undone is noted on the host; no cache has to run for it. */
const NO_CACHE: CacheView = {
  url: "http://localhost",
  isForAll: true,
  registries: [],
  defaultServes: "",
  ways: ["anonymous"],
  ca: undefined,
};

/** What stands between `@` in what `--json` prints, on a host; `--user` and clients' own settings may have others. */
const FOLDERS = {
  docker: "/etc/docker",
  containers: "/etc/containers",
  containerd: "/etc/containerd",
  certsd: "/etc/containerd/certs.d",
  buildkit: "/etc/buildkit",
  rancher: "/etc/rancher",
  minikube: "~/.minikube/files",
  own: "_registry-cache",
  here: ".",
};

async function connect(
  terminal: Terminal,
  options: ConnectCommandOptions,
  word: string | undefined,
): Promise<ExitCode> {
  assertTogether(options);
  const { clientNamed, CLIENTS } = await import("../connect/clients.ts");
  if (word === undefined) return list(terminal, CLIENTS, options);
  const client = clientNamed(word);
  if (client === undefined) {
    const hint = `there are ${CLIENTS.map(({ name }) => name).join(", ")}`;
    throw new CliError(`no client ${JSON.stringify(word)} is known here`, { hint, exitCode: 2 });
  }
  const { view, secrets } = await whatIsKnown(terminal, options, client);
  const { setupScript } = await import("../connect/script.ts");
  const wanted = wantedOf(options, view);
  if (options.json === true) {
    terminal.out.write(
      `${JSON.stringify({ client: client.name, cache: view, variants: client.variants(view, wanted), folders: FOLDERS })}\n`,
    );
    return 0;
  }
  const script = setupScript(client, view, wanted, secrets);
  if (options.script === true) {
    terminal.out.write(script);
    return 0;
  }
  if (options.undo !== true && options.server === undefined) await warnOf(terminal, view, secrets);
  return await perform(terminal, options, script);
}

/** The cache, and what it is to be shown; a password is asked for only where it is of use. */
async function whatIsKnown(terminal: Terminal, options: ConnectCommandOptions, client: Client) {
  if (options.undo === true) return { view: NO_CACHE, secrets: {} };
  // What another cache tells may need all of it.
  const first = options.server === undefined ? undefined : await secretsOf(terminal, options);
  const view = await viewOf(terminal, options, first ?? {});
  const useless = options.login === undefined ? undefined : whyNoLogin(client, view, wantedOf(options, view));
  if (useless !== undefined) terminal.err.write(`note: --login is of no use here: ${useless}\n`);
  const { login: _, passwordStdin: __, ...others } = options;
  const secrets = first ?? (await secretsOf(terminal, useless === undefined ? options : others));
  return { view, secrets };
}

function whyNoLogin(client: Client, view: CacheView, wanted: ConnectOptions): string | undefined {
  if (!view.ways.includes("basic")) return "this cache asks for no passwords";
  const logins = client.variants(view, wanted).map(({ setup }) => setup.login);
  const [login] = logins;
  return login === undefined || logins.includes(undefined)
    ? undefined
    : `${client.title} keeps passwords by itself: each user types ${login}`;
}

/** Before something is written that leads nowhere. */
async function warnOf({ err }: Terminal, view: CacheView, secrets: KnownSecrets): Promise<void> {
  const { probe } = await import("../connect/probe.ts");
  const warning = await probe(view, secrets);
  if (warning !== undefined) err.write(`warning: ${warning}\n`);
}

/** What there is to choose from. */
function list(terminal: Terminal, clients: readonly Client[], { json }: ConnectCommandOptions): ExitCode {
  const width = Math.max(...clients.map(({ name }) => name.length)) + 2;
  const lines = clients.map(({ name, title, aliases }) => {
    const also = aliases.length === 0 ? "" : ` (also: ${aliases.join(", ")})`;
    return `${name.padEnd(width)}${title}${also}\n`;
  });
  const names = clients.map(({ name, title, aliases }) => ({ name, title, aliases }));
  const more = "\nregistry-cache connect NAME prints the settings; --apply writes them, --help says more\n";
  terminal.out.write(json === true ? `${JSON.stringify(names)}\n` : lines.join("") + more);
  return 0;
}

/** Runs the script, here or there; what it would change is shown, and asked about, before it is changed. */
async function perform(terminal: Terminal, options: ConnectCommandOptions, script: string): Promise<ExitCode> {
  const host: ScriptHost = { ssh: options.ssh, sudo: options.sudo === true };
  const run = async (...flags: readonly string[]) =>
    await runScript(terminal, host, script, [...flags, ...flagsOf(options)]);
  const isUndo = options.undo === true;
  if (options.apply !== true && !isUndo) return codeOf(await run(options.diff === true ? "--diff" : "--print"));
  const flag = isUndo ? "--undo" : "--apply";
  if (options.yes === true || !terminal.input.isTerminal) return codeOf(await run(flag));
  const shown = await (isUndo ? run("--undo", "--dry-run") : run("--diff"));
  if (shown.exitCode !== 0) return 1;
  // What is written already may never have been read.
  if (shown.isNothingToDo) return options.restart === true ? codeOf(await run(flag, "--shown")) : 0;
  if (!(await terminal.input.confirm(isUndo ? "Undo this?" : "Write this?"))) {
    throw new CliError("given up; nothing was changed");
  }
  return codeOf(await run(flag, "--shown"));
}

function codeOf({ exitCode }: { readonly exitCode: number }): ExitCode {
  return exitCode === 0 ? 0 : 1;
}

function flagsOf({ user, restart, replace, variant }: ConnectCommandOptions): string[] {
  return [
    ...(user === true ? ["--user"] : []),
    ...(restart === true ? ["--restart"] : []),
    ...(replace === true ? ["--replace"] : []),
    ...(variant === undefined ? [] : ["--variant", variant]),
  ];
}

function assertTogether({
  apply,
  undo,
  diff,
  script,
  ssh,
  sudo,
  login,
  passwordStdin,
  cert,
  key,
}: ConnectCommandOptions) {
  const usage = (message: string, hint?: string) => new CliError(message, { hint, exitCode: 2 });
  if ([apply, undo, diff, script].filter((one) => one === true).length > 1) {
    throw usage("only one of --apply, --diff, --undo and --script can be done at once");
  }
  if (sudo === true && ssh === undefined) throw usage("--sudo belongs to --ssh", "sudo registry-cache connect ...");
  if (passwordStdin === true && login === undefined) throw usage("--password-stdin belongs to --login NAME");
  if ((cert === undefined) !== (key === undefined)) throw usage("--cert and --key belong together");
  if (ssh !== undefined) assertTarget(ssh);
}

/** The running cache that is meant: the one that is named, or the one of the configuration. */
export async function viewOf(
  terminal: Terminal,
  options: ConnectCommandOptions,
  secrets: KnownSecrets,
): Promise<CacheView> {
  const ca = options.ca === undefined ? undefined : await fileText(terminal, options.ca);
  const view =
    options.server === undefined ? await configured(terminal, options) : await asked(options.server, ca, secrets);
  return ca === undefined ? view : { ...view, ca };
}

async function configured(terminal: Terminal, options: ConnectCommandOptions): Promise<CacheView> {
  const { configuredView } = await import("../connect/configured.ts");
  const { view, isLocal } = configuredView(await configurationOf(terminal, options));
  if (!isLocal) return view;
  const hint = "write `url: http://ADDRESS:PORT` into the configuration, or use --server";
  if (options.ssh !== undefined) {
    throw new CliError(`${view.url} means another machine on ${options.ssh}`, { hint, exitCode: 2 });
  }
  terminal.err.write(`note: ${view.url} is good for this machine alone; for others: ${hint}\n`);
  return view;
}

async function asked(server: string, ca: string | undefined, secrets: KnownSecrets): Promise<CacheView> {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol) || url.username !== "") {
    throw new CliError("--server wants an http:// or https:// address", {
      hint: "such as https://cache.example.com",
      exitCode: 2,
    });
  }
  const { AskError, askView } = await import("../connect/ask.ts");
  const path = secrets.pathToken === undefined ? "" : `/t/${secrets.pathToken}`;
  const { user, password, clientCert: cert, clientKey: key } = secrets;
  const by: AskOptions = { user, password, ca, cert, key };
  try {
    return await askView(new URL(`${url.origin}${path}`), by);
  } catch (error) {
    if (error instanceof AskError) throw new CliError(error.message, { hint: error.hint, cause: error });
    throw error;
  }
}

function wantedOf({ only, fallback, undo }: ConnectCommandOptions, { registries }: CacheView): ConnectOptions {
  if (undo === true) return { only: undefined, fallback };
  const names = only?.split(",").map((name) => name.trim());
  const unknown = names?.find((name) => registries.every(({ serves }) => serves !== name));
  if (unknown !== undefined) {
    const hint = `there are ${registries.map(({ serves }) => serves).join(", ")}`;
    throw new CliError(`this cache does not serve ${unknown}`, { hint, exitCode: 2 });
  }
  return { only: names, fallback };
}

/** What there is to be shown to the cache. */
export async function secretsOf(terminal: Terminal, options: ConnectCommandOptions): Promise<KnownSecrets> {
  const { login, passwordStdin, cert, key, pathTokenFile } = options;
  const text = async (name: string | undefined) => (name === undefined ? undefined : await fileText(terminal, name));
  const [clientCert, clientKey, token] = await Promise.all([text(cert), text(key), text(pathTokenFile)]);
  const password = login === undefined ? undefined : await passwordOf(terminal, login, passwordStdin === true);
  return {
    ...(login === undefined || password === undefined ? {} : { user: login, password }),
    ...(clientCert === undefined || clientKey === undefined ? {} : { clientCert, clientKey }),
    ...(token === undefined ? {} : { pathToken: token.trim() }),
  };
}

async function passwordOf({ input }: Terminal, name: string, fromStdin: boolean): Promise<string> {
  if (fromStdin) return (await input.readAll()).replace(/\r?\n$/, "");
  if (input.isTerminal) return await input.askSecret(`Password of ${name}`);
  throw new CliError("there is no terminal to ask for a password", { hint: "use --password-stdin", exitCode: 2 });
}

async function fileText({ cwd }: Terminal, name: string): Promise<string> {
  try {
    return await readFile(resolve(cwd, name), "utf8");
  } catch (error) {
    throw new CliError(`${name} cannot be read (${String((error as NodeJS.ErrnoException).code)})`, { cause: error });
  }
}
