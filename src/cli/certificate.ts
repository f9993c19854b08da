import { relative, resolve } from "node:path";
import { Command } from "commander";
import type { AuthorityFolder } from "../certificates/authority-folder.ts";
import { ValueError } from "../lib/value-error.ts";
import { CliError } from "./failure.ts";
import type { Invocation, Terminal } from "./terminal.ts";

interface CertificateOptions {
  readonly dir: string;
  readonly name?: readonly string[];
  readonly force?: boolean;
  readonly json?: boolean;
}

type Work = (folder: AuthorityFolder, options: CertificateOptions, name: string) => Promise<string[]>;

export function certificateCommand({ terminal, exit }: Invocation): Command {
  const group = new Command("certificate")
    .summary("an authority of one's own: init, server, client")
    .description(
      "An authority of your own, for TLS and for clients' certificates where there is no other: the server's clients must be told to trust its ca.pem.",
    )
    .addHelpText("after", HELP);
  const add = (name: string, description: string, work: Work) => {
    const command = new Command(name)
      .summary(description.toLowerCase())
      .description(`${description}.`)
      .option("--dir <folder>", "where its files lie", "./certificates")
      .option("--force", "overwrite keys that are there")
      .option("--json", "print the files that were written as JSON")
      .addHelpText("after", EXAMPLES[name] ?? "");
    if (name === "client") command.argument("<name>", "the client's name, for rules and the log");
    else command.option("--name <name>", "a host name or address of the server; may be given several times", collected);
    command.action(async (...args: unknown[]) => {
      const self = args.at(-1) as Command;
      await certificate(terminal, self.opts<CertificateOptions>(), self.args[0] ?? "", work);
      exit(0);
    });
    group.addCommand(command);
  };
  add("init", "Make an authority, and the server's certificate", init);
  add("server", "Give the server a new certificate, for the same key", server);
  add("client", "Make a client's certificate, for mutual TLS", client);
  return group;
}

const HELP = `
Example:
  $ registry-cache certificate init --name cache.example.com --name 192.0.2.7
  $ registry-cache certificate client ci-runner

Then, in the configuration:
  tls: { mode: files, cert: certificates/cache.pem, key: certificates/cache-key.pem }
  access: { mtls: { ca: certificates/ca.pem } }

Certificates of servers and clients last for 825 days, the authority for ten years. Keep ca-key.pem where nobody else reads
it: whoever has it can be anybody to those who trust ca.pem.`;

const EXAMPLES: Readonly<Record<string, string>> = {
  init: `
Example:
  $ registry-cache certificate init --name cache.example.com --name 192.0.2.7`,
  server: `
Example:
  $ registry-cache certificate server --name cache.example.com --name hub.cache.example.com

Without --name it is for the same names as the one before. A running cache notices it within two seconds.`,
  client: `
Example:
  $ registry-cache certificate client ci-runner
  $ curl --cacert certificates/ca.pem --cert certificates/ci-runner.pem --key certificates/ci-runner-key.pem https://cache.example.com:5000/v2/`,
};

export function collected(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

async function init(
  folder: AuthorityFolder,
  { name: names = [], force = false }: CertificateOptions,
): Promise<string[]> {
  const { readServerName, SERVER, FileExistsError } = await import("../certificates/authority-folder.ts");
  if (names.length === 0) {
    const hint = "registry-cache certificate init --name cache.example.com";
    throw new CliError("whom is the server's certificate for?", { hint, exitCode: 2 });
  }
  const read = names.map(readServerName);
  // Before anything is written: half of it would help nobody.
  const found = force ? undefined : await folder.found(SERVER);
  if (found !== undefined) throw new FileExistsError(found);
  return [...(await folder.makeAuthority({ force })), ...(await folder.makeServer(read, { newKey: force }))];
}

async function server(folder: AuthorityFolder, { name: names, force = false }: CertificateOptions): Promise<string[]> {
  const { readServerName } = await import("../certificates/authority-folder.ts");
  const its = names?.map(readServerName) ?? (await folder.serverNames());
  if (its === undefined) {
    const hint = "registry-cache certificate server --name cache.example.com";
    throw new CliError("there is none yet: whom is the server's certificate for?", { hint, exitCode: 2 });
  }
  return await folder.makeServer(its, { newKey: force });
}

async function client(folder: AuthorityFolder, { force = false }: CertificateOptions, name: string): Promise<string[]> {
  const { readClientName } = await import("../certificates/authority-folder.ts");
  return await folder.makeClient(readClientName(name), { force });
}

async function certificate(terminal: Terminal, options: CertificateOptions, name: string, work: Work): Promise<void> {
  const { AuthorityFolder: Folder } = await import("../certificates/authority-folder.ts");
  const folder = new Folder(resolve(terminal.cwd, options.dir));
  const written = await explained(folder.path, async () => await work(folder, options, name));
  const files = written.map((path) => relative(terminal.cwd, path) || path);
  terminal.out.write(
    options.json === true ? `${JSON.stringify(files)}\n` : files.map((file) => `wrote ${file}\n`).join(""),
  );
}

/** Files that are not of clients. */
const OTHERS = ["/ca.pem", "/ca-key.pem", "/cache.pem", "/cache-key.pem"];

/** What can go wrong, in the form in which all commands tell it. */
async function explained<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const { FileExistsError } = await import("../certificates/authority-folder.ts");
  const { AuthorityError } = await import("../certificates/own-authority.ts");
  try {
    return await work();
  } catch (error) {
    if (error instanceof ValueError) throw new CliError(error.message, { hint: error.hint, exitCode: 2, cause: error });
    if (error instanceof FileExistsError) {
      const isOfClient = !OTHERS.some((one) => error.path.endsWith(one));
      const renew = isOfClient
        ? ""
        : "; `registry-cache certificate server` renews the server's certificate, and keeps its key";
      const hint = `--force overwrites it${renew}`;
      throw new CliError(error.message, { hint, cause: error });
    }
    if (error instanceof AuthorityError)
      throw new CliError(`the authority in ${folder}: ${error.message}`, { cause: error });
    const { code, path } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const isMissing = code === "ENOENT" && path?.endsWith("ca.pem") === true;
    const hint = isMissing ? "registry-cache certificate init --name cache.example.com" : undefined;
    throw new CliError(isMissing ? `there is no authority in ${folder}` : `${path ?? folder}: ${code}`, {
      hint,
      cause: error,
    });
  }
}
