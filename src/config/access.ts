import { resolve } from "node:path";
import { HTPASSWD_BYTES_MAX, parseHtpasswd } from "../access/htpasswd.ts";
import { accessThere } from "../access/methods.ts";
import { TOKEN_FILE_BYTES_MAX } from "../access/path-token.ts";
import { Networks } from "../lib/networks.ts";
import { shown } from "../lib/units.ts";
import { ValueError } from "../lib/value-error.ts";
import { readAuthorities, readRevocations, revocationsEnd, withoutRevocations } from "./certificates.ts";
import type {
  AccessConfig,
  AccessMethod,
  AccessRule,
  ClientCertificates,
  Listen,
  RegistryConfig,
  SecretPath,
} from "./config.ts";
import { openToAllWarnings, readBounded } from "./files.ts";
import type { Finding } from "./issues.ts";
import { isLoopback } from "../lib/loopback.ts";
import { ACCESS_METHODS, type AccessInput } from "./schema.ts";
import { ruleWarnings } from "./rule-warnings.ts";
import { readPathToken } from "./values.ts";

/** A registry, by what a rule may call it. */
export interface NamedRegistry {
  readonly id: string;
  readonly serves: string | undefined;
}

export interface ReadAccess {
  readonly access: AccessConfig;
  readonly findings: readonly Finding[];
  /** What works but should not stay so. */
  readonly warnings: readonly string[];
}

/** Reads `access:`; the names of its files are relative to `folder`. `registries` are those that there are. */
export async function readAccess(
  input: AccessInput,
  folder: string,
  registries: readonly NamedRegistry[],
): Promise<ReadAccess> {
  const findings: Finding[] = [];
  const warnings: string[] = [];
  const htpasswd = await readUsers(input.basic?.htpasswd, folder, { findings, warnings });
  const mtls = await readClientCertificates(input.mtls, folder, findings);
  if (mtls?.crl !== undefined) warnings.push(...(await revocationWarnings(mtls.crl, Date.now())));
  const paths = await readPaths(input.paths ?? [], folder, findings);
  warnings.push(...(await secretWarnings(input, folder)));
  const rules = readRules(input.rules ?? [], registries, findings);
  const names = [...(htpasswd?.users ?? []), ...(input.paths ?? []).map(({ name }) => name)];
  warnings.push(...ruleWarnings(rules, { names, areAll: mtls === undefined && htpasswd?.isUnread !== true }));
  if (input.networks?.length === 0) {
    const hint = "remove it, or write who may ask, such as [10.0.0.0/8]";
    findings.push({ path: ["access", "networks"], message: "has no network: that would keep nobody out", hint });
  }
  const knowsPeople = input.basic !== undefined || input.mtls !== undefined || (input.paths ?? []).length > 0;
  const access = {
    anonymous: input.anonymous ?? !knowsPeople,
    networks: input.networks ?? [],
    hosts: [...new Set(input.hosts ?? [])],
    htpasswd: htpasswd?.path,
    bearer: input.bearer ?? false,
    mtls,
    paths,
    rules,
  };
  if (access.bearer && input.basic === undefined) {
    const hint = "write `basic: { htpasswd: FILE }` beside it";
    findings.push({
      path: ["access", "bearer"],
      message: "tokens are given for passwords, and there are no users",
      hint,
    });
  }
  if (!access.anonymous && !knowsPeople) {
    findings.push({
      path: ["access", "anonymous"],
      message: "nobody could pull: nobody has a way to say who they are",
      hint: "write `basic: { htpasswd: FILE }` beside it",
    });
  }
  return { access, findings, warnings };
}

/** Files of secrets that everybody on this machine may read. */
async function secretWarnings({ basic, paths = [] }: AccessInput, folder: string): Promise<string[]> {
  const tokenFiles = paths.flatMap(({ token_file: file }) => file ?? []);
  const all = [
    ...(basic === undefined ? [] : [{ file: basic.htpasswd, what: "the password file" }]),
    ...tokenFiles.map((file) => ({ file, what: "the secret path's" })),
  ];
  const warnings = all.map(async ({ file, what }) => {
    return await openToAllWarnings(resolve(folder, file), `${what} ${shown(file)}`);
  });
  return (await Promise.all(warnings)).flat();
}

interface UsersFile {
  /** Absolute. */
  readonly path: string;
  readonly users: readonly string[];
  /** Something else was said of that. */
  readonly isUnread: boolean;
}

/** The password file, which is read to see that it can be. */
async function readUsers(
  name: string | undefined,
  folder: string,
  { findings, warnings }: { readonly findings: Finding[]; readonly warnings: string[] },
): Promise<UsersFile | undefined> {
  if (name === undefined) return undefined;
  const path = resolve(folder, name);
  const at = ["access", "basic", "htpasswd"];
  const make = "registry-cache user add NAME";
  const bytes = await readBounded(path, HTPASSWD_BYTES_MAX);
  if (!Buffer.isBuffer(bytes)) {
    if (bytes.reason === "missing")
      warnings.push(`${shown(name)} is not there, so that there are no users: \`${make}\``);
    else findings.push({ path: at, message: `${shown(name)} ${bytes.message}`, hint: bytes.hint });
    return { path, users: [], isUnread: true };
  }
  // Not an error: the others can go on pulling, and `registry-cache user` can mend it.
  const { users, problems } = parseHtpasswd(bytes.toString("utf8"));
  for (const { line, message } of problems) {
    warnings.push(`a user of ${shown(name)} is left out, line ${line}: ${message}`);
  }
  return { path, users: [...users.keys()], isUnread: false };
}

const SOON_MS = 24 * 60 * 60_000;

/** Once a list has run out nobody's certificate is accepted any more, by OpenSSL's own rule. Never rejects. */
export async function revocationWarnings(crl: string, nowMs: number): Promise<string[]> {
  let end: Date | undefined;
  try {
    end = await revocationsEnd(crl);
  } catch (error) {
    // OpenSSL reads it, and it is OpenSSL that uses it.
    return [`when the revocation list of access.mtls runs out cannot be read: ${(error as Error).message}`];
  }
  if (end === undefined || end.getTime() - nowMs > SOON_MS) return [];
  const [ends, lets] = end.getTime() <= nowMs ? ["ran out", "lets"] : ["runs out", "then lets"];
  return [
    `the revocation list of access.mtls ${ends} at ${end.toISOString()} and ${lets} nobody in: put a new one there`,
  ];
}

/** Whose certificates clients may show; what is wrong goes into `findings`. */
export async function readClientCertificates(
  input: AccessInput["mtls"],
  folder: string,
  findings: Finding[],
): Promise<ClientCertificates | undefined> {
  if (input === undefined) return undefined;
  const read = async (key: "ca" | "crl", reading: Promise<string>) => {
    try {
      return await reading;
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      findings.push({ path: ["access", "mtls", key], message: error.message, hint: error.hint });
      return undefined;
    }
  };
  const ca = await read("ca", readAuthorities(input.ca, folder));
  const crl = input.crl === undefined ? undefined : await read("crl", readRevocations(input.crl, folder));
  if (ca !== undefined && crl !== undefined) findings.push(...(await revocationFindings(ca, crl, input.crl ?? "")));
  const files = {
    ca: resolve(folder, input.ca),
    crl: input.crl === undefined ? undefined : resolve(folder, input.crl),
  };
  return { ca: ca ?? "", crl, names: input.names ?? ["*"], files };
}

/** An authority without a list locks out everybody whose certificate it has signed, and OpenSSL says nothing of it at the start. */
async function revocationFindings(ca: string, crl: string, file: string): Promise<Finding[]> {
  // OpenSSL reads what it uses; what is read here is for people.
  const missing = await withoutRevocations(ca, crl).catch(() => []);
  const hint = "each authority of `ca` needs one, or nobody is let in by it: put its list behind those that are there";
  return missing.map((subject) => {
    return { path: ["access", "mtls", "crl"], message: `${shown(file)} has no list of ${shown(subject)}`, hint };
  });
}

async function readPaths(
  inputs: NonNullable<AccessInput["paths"]>,
  folder: string,
  findings: Finding[],
): Promise<SecretPath[]> {
  const paths: SecretPath[] = [];
  for (const [index, { name, token, token_file: file }] of inputs.entries()) {
    const at = (key: string) => ["access", "paths", index, key];
    if ((token === undefined) === (file === undefined)) {
      const message = token === undefined ? "has no token" : "has a token twice";
      findings.push({ path: at("name"), message, hint: "write one of `token:` and `token_file:`" });
      continue;
    }
    if (paths.some((other) => other.name === name)) {
      findings.push({
        path: at("name"),
        message: `${shown(name)} is there twice`,
        hint: "the log could not tell them apart",
      });
    }
    const read = token ?? (await readTokenFile(file ?? "", folder, at("token_file"), findings));
    if (read === undefined) continue;
    const twin = paths.find((other) => other.token === read);
    if (twin !== undefined) {
      const hint = "each needs a secret of its own: `openssl rand -hex 24`";
      findings.push({ path: at("name"), message: `has the same token as ${shown(twin.name)}`, hint });
    }
    paths.push({ name, token: read, ...(file === undefined ? {} : { file: resolve(folder, file) }) });
  }
  return paths;
}

async function readTokenFile(
  name: string,
  folder: string,
  path: readonly PropertyKey[],
  findings: Finding[],
): Promise<string | undefined> {
  const bytes = await readBounded(resolve(folder, name), TOKEN_FILE_BYTES_MAX);
  if (!Buffer.isBuffer(bytes)) {
    const make = bytes.reason === "missing" ? `\`(umask 077; openssl rand -hex 24 > ${name})\` makes one` : bytes.hint;
    findings.push({ path, message: `${shown(name)} ${bytes.message}`, hint: make });
    return undefined;
  }
  try {
    return readPathToken(bytes.toString("utf8").trim());
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    findings.push({ path, message: `what is in ${shown(name)} ${error.message}`, hint: error.hint });
    return undefined;
  }
}

function readRules(
  inputs: NonNullable<AccessInput["rules"]>,
  registries: readonly NamedRegistry[],
  findings: Finding[],
): AccessRule[] {
  const registryIds = registries.map(({ id }) => id);
  return inputs.map(({ who = "*", registry, repository = "*", tag = "*", allow, min_age: minAgeMs = 0 }, index) => {
    if (!allow && minAgeMs > 0) {
      const hint = "remove it, or write `allow: true`";
      const path = ["access", "rules", index, "min_age"];
      findings.push({ path, message: "is of no use where nothing is allowed", hint });
    }
    if (registry !== undefined && !registryIds.includes(registry)) {
      const hint = `the registries here are ${registryIds.join(", ")}`;
      const path = ["access", "rules", index, "registry"];
      findings.push({ path, message: `there is no registry ${shown(registry)}`, hint });
    }
    const named = registries.find(({ id, serves }) => [id, serves].includes(repository.split("/", 1)[0] ?? ""));
    if (named !== undefined && repository.includes("/")) {
      const message = `${shown(repository)} begins with a registry, and names are compared without it`;
      const hint = `write \`registry: ${named.id}, repository: "${repository.slice(repository.indexOf("/") + 1)}"\``;
      findings.push({ path: ["access", "rules", index, "repository"], message, hint });
    }
    return { who, registry, repository, tag, allow, minAgeMs };
  });
}

/** One header cannot say two things: who pulls here, and who that is to a registry. */
export function checkPassThrough(
  registries: readonly RegistryConfig[],
  listen: readonly Listen[],
  access: AccessConfig,
): Finding[] {
  if (listen.every((address) => accessThere(access, address).config.htpasswd === undefined)) return [];
  return registries
    .filter(({ passThrough }) => passThrough)
    .map(({ id }) => ({
      path: ["registries", id, "private_content"],
      message: "cannot pass clients' passwords through where `access.basic` asks for other ones",
      hint: "let people in by `access.networks` or `access.mtls` instead, or write `private_content: shared`",
    }));
}

/** Of the internet at large. */
const STRANGERS = ["8.8.8.8", "198.51.100.1"] as const;

function keepsStrangersOut(networks: readonly string[]): boolean {
  const includes = new Networks(networks);
  return networks.length > 0 && !STRANGERS.every((address) => includes.includes(address));
}

/** What others pay for, or keep private, is not given to whoever happens to reach us. */
export function checkOpenCredentials(
  registries: readonly RegistryConfig[],
  listen: readonly Listen[],
  access: AccessConfig,
): Finding[] {
  return listen.flatMap((address, index): Finding[] => {
    const ids = isLoopback(address.host) ? [] : openedAt(address, registries, access);
    if (ids.length === 0) return [];
    const message = `anybody who reaches ${address.host}:${address.port} could pull with the credentials of ${ids.join(", ")}`;
    const hint =
      "write `access: { networks: [...] }` or `access: { basic: { htpasswd: FILE } }`, or listen on 127.0.0.1 alone";
    return [{ path: address.methods === undefined ? ["access"] : ["listen", index, "access"], message, hint }];
  });
}

/** Behind a proxy it is the proxy that may keep strangers out, which cannot be seen from here. */
export function proxyWarnings(
  registries: readonly RegistryConfig[],
  listen: readonly Listen[],
  access: AccessConfig,
  trustedProxies: readonly string[],
): string[] {
  if (trustedProxies.length === 0) return [];
  const behind = listen.filter(({ host }) => isLoopback(host));
  const ids = new Set(behind.flatMap((address) => openedAt(address, registries, access)));
  if (ids.size === 0) return [];
  return [`whoever the proxy lets in can pull with the credentials of ${[...ids].join(", ")}: let it ask who that is`];
}

/** The registries, by id, whose credentials serve whoever comes in at an address. */
function openedAt(address: Listen, registries: readonly RegistryConfig[], access: AccessConfig): string[] {
  const { config, mayBeOpen } = accessThere(access, address);
  if (keepsStrangersOut(config.networks)) return [];
  return registries
    .filter(({ credentials, anonymous }) => {
      return credentials !== undefined && (mayBeOpen ? (anonymous ?? config.anonymous) : config.anonymous);
    })
    .map(({ id }) => id);
}

/** The methods that let in, or keep out. */
function methodsIn(access: AccessConfig): Record<AccessMethod, boolean> {
  return {
    anonymous: access.anonymous,
    networks: access.networks.length > 0,
    basic: access.htpasswd !== undefined,
    bearer: access.bearer,
    mtls: access.mtls !== undefined,
    paths: access.paths.length > 0,
  };
}

/** A method that is set up, and that no address chooses: a network that is to keep strangers out would keep nobody out. */
export function unusedMethodWarnings(listen: readonly Listen[], access: AccessConfig): string[] {
  const there = listen.map((address) => methodsIn(accessThere(access, address).config));
  const isSetUp = methodsIn(access);
  return ACCESS_METHODS.filter((method) => isSetUp[method] && !there.some((those) => those[method])).map(
    (method) => `access.${method} counts nowhere: each address in \`listen\` has an \`access\` without "${method}"`,
  );
}

/** What addresses choose of `access` must be there. */
export function checkListenMethods(listen: readonly Listen[], access: AccessConfig): Finding[] {
  const isThere = { ...methodsIn(access), anonymous: true };
  return listen.flatMap(({ methods, tls }, index): Finding[] => {
    const path = ["listen", index, "access"];
    if (methods?.length === 0) {
      return [{ path, message: "is empty: nobody could pull there", hint: "write `[anonymous]`, or who may come in" }];
    }
    const missing = methods?.find((method) => !isThere[method]);
    if (missing !== undefined) {
      return [{ path, message: `${shown(missing)} is not set up`, hint: `write \`${missing}\` below \`access\`` }];
    }
    if (tls || methods?.includes("mtls") !== true) return [];
    return [{ path, message: '"mtls" is of no use without TLS', hint: "remove `tls: false`" }];
  });
}
