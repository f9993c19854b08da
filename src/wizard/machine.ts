import { statfs } from "node:fs/promises";
import { hostname, networkInterfaces } from "node:os";
import { dirname, resolve } from "node:path";
import { HtpasswdFile } from "../access/htpasswd-file.ts";
import { AUTHORITY, AuthorityFolder } from "../certificates/authority-folder.ts";
import { readAuthorities } from "../config/certificates.ts";
import { SECRET_KEYS, secretVariable, SETTING_VARIABLES } from "../config/environment.ts";
import { loadConfig, type LoadOptions } from "../config/load.ts";
import { readTls } from "../config/tls.ts";
import { isHost } from "../config/values.ts";
import { ValueError } from "../lib/value-error.ts";
import { type Trial, tryRegistry } from "../upstream/trial.ts";
import { type Answers, answersOf, type CredentialsAnswer, DEFAULTS, type RegistryAnswer } from "./answers.ts";
import { edited } from "./edit.ts";
import type { Target } from "./files.ts";
import type { World } from "./questions/world.ts";

const EXAMPLE_HOST = "cache.example.com";

export interface MachineOptions extends Pick<LoadOptions, "environment" | "cwd"> {
  readonly version: string;
}

/** This machine, and the network that it is in. */
export function machine(target: Target, options: MachineOptions): World {
  const { folder } = target;
  const own = hostname().toLowerCase();
  return {
    hostname: isHost(own) && own !== "localhost" ? own : EXAMPLE_HOST,
    addresses: addresses(),
    tryRegistry: async (registry, credentials, signal) =>
      await tried(target, options, { registry, credentials }, signal),
    freeBytes: async (name) => await freeBytes(resolve(options.cwd, name)),
    hasAuthority: async (name) => (await new AuthorityFolder(resolve(folder, name)).found(AUTHORITY)) !== undefined,
    users: async (file) => (await HtpasswdFile.read(resolve(folder, file)).catch(() => undefined))?.users ?? [],
    certificateProblem: async (cert, key) => {
      const [finding] = (await readTls({ mode: "files", cert, key }, folder)).findings;
      return finding === undefined ? undefined : withHint(finding.message, finding.hint);
    },
    authoritiesProblem: async (file) => {
      try {
        await readAuthorities(file, folder);
        return undefined;
      } catch (error) {
        if (error instanceof ValueError) return withHint(error.message, error.hint);
        throw error;
      }
    },
  };
}

/** Without those that are good on one cable only, which nobody names. */
function addresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((ones) => ones ?? []);
  const found = all.filter(({ internal, address }) => !internal && !/^fe[89ab].:/i.test(address));
  return [...new Set(found.map(({ address }) => address))];
}

function withHint(message: string, hint: string | undefined): string {
  return hint === undefined ? message : `${message}: ${hint}`;
}

/** As the cache itself would ask: with what else the files say of the registry. */
async function tried(
  target: Target,
  { environment, cwd, version }: MachineOptions,
  { registry, credentials }: { readonly registry: RegistryAnswer; readonly credentials: CredentialsAnswer },
  signal: AbortSignal,
): Promise<Trial> {
  const before = answersOf(target);
  const its = { ...registry, isOn: true, credentials };
  const isKnown = before.registries.some(({ id }) => id === registry.id);
  const registries = isKnown
    ? before.registries.map((one) => (one.id === its.id ? its : one))
    : [...before.registries, its];
  // Who may pull is not asked yet, and credentials are not for everybody: on this machine alone they are.
  const answers: Answers = { ...before, registries, listen: DEFAULTS.listen };
  const draft = { name: target.name, folder: target.folder, ...edited(target, answers) };
  const hidden = hiddenVariables(its);
  const shown = Object.fromEntries(Object.entries(environment).filter(([name]) => !hidden.has(name)));
  const config = await loadConfig({ environment: shown, cwd, isTerminal: false, draft });
  const found = config.registries.find(({ id }) => id === registry.id);
  if (found === undefined) throw new Error(`the registry ${registry.id} is lost`);
  return await tryRegistry(found, { version, proxy: config.proxy }, signal);
}

/** What the environment says in their place is not what was typed. */
function hiddenVariables({ id, credentials }: RegistryAnswer): ReadonlySet<string> {
  if (credentials.kind === "kept") return new Set([SETTING_VARIABLES.listen]);
  const secrets = SECRET_KEYS.flatMap((key) => [secretVariable(id, key), `${secretVariable(id, key)}_FILE`]);
  return new Set([SETTING_VARIABLES.listen, ...secrets]);
}

/** Of the nearest folder that is there. */
async function freeBytes(path: string): Promise<number | undefined> {
  for (let at = path; ; at = dirname(at)) {
    const stats = await statfs(at).catch(() => undefined);
    if (stats !== undefined) return stats.bavail * stats.bsize;
    if (dirname(at) === at) return undefined;
  }
}
