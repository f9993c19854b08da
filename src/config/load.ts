import { dirname, resolve } from "node:path";
import { shown } from "../lib/units.ts";
import { ValueError } from "../lib/value-error.ts";
import {
  checkListenMethods,
  checkOpenCredentials,
  checkPassThrough,
  proxyWarnings,
  readAccess,
  unusedMethodWarnings,
} from "./access.ts";
import { readAcme } from "./acme.ts";
import { apiConfig, apiWarnings, checkApi } from "./api.ts";
import { readAuthorities } from "./certificates.ts";
import { crossCheck, DEFAULT_REGISTRY } from "./checks.ts";
import type { Config, RegistryConfig } from "./config.ts";
import {
  CONFIG_VARIABLE,
  DOT_ENV,
  readVariables,
  secretVariable,
  unknownVariables,
  type Variables,
} from "./environment.ts";
import { ConfigError, type Problem } from "./errors.ts";
import { findConfigFile, type NamedFile, openToAllWarnings } from "./files.ts";
import { misspeltBuiltIn } from "./ids.ts";
import type { Finding } from "./issues.ts";
import { checkAlpnListen, checkLoops, checkRepeatedListen, plainWarnings } from "./listen-checks.ts";
import { chooseRegistries, readOverrides } from "./overrides.ts";
import { readProxy } from "./proxy.ts";
import { type RegistryDraft, registryConfig } from "./registries.ts";
import { type ConfigText, readConfigText } from "./read-text.ts";
import type { TopInput } from "./schema.ts";
import { combineSecrets, readSecrets } from "./secrets.ts";
import { readTls, readTlsCa } from "./tls.ts";
import { readWebhooks } from "./webhooks.ts";
import { resolveWorkers } from "./workers.ts";

export interface LoadOptions {
  /** `--config`; other places are looked at without it. */
  readonly configPath?: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Whether people read the log as it is written; by default whether standard output is a terminal. */
  readonly isTerminal?: boolean;
  /** Taken instead of what lies there. */
  readonly draft?: Draft;
}

/** The texts of a configuration and of the `.env` beside it, before they are written. */
export interface Draft {
  /** As the user would write it. */
  readonly name: string;
  /** The folder that it is to lie in, absolute. */
  readonly folder: string;
  readonly yaml: string;
  readonly dotEnv: string;
}

/**
 * The effective configuration, from file, environment and secret files.
 *
 * @throws ConfigError with everything that is wrong
 */
export async function loadConfig(options: LoadOptions): Promise<Config> {
  const { configPath, environment, cwd, draft } = options;
  const environmentPath = environment[CONFIG_VARIABLE] === "" ? undefined : environment[CONFIG_VARIABLE];
  const file = draft === undefined ? await findConfigFile({ configPath, environmentPath, cwd }) : drafted(draft);
  const ofFile = readConfigText(file);
  const problems = [...ofFile.problems];
  const variables = await readVariables({ environment, ...folderOf(file, cwd), draft: draft?.dotEnv }, problems);
  problems.push(...unknownVariables(variables, [...ofFile.drafts.map(({ id }) => id), ...ofFile.brokenIds]));
  const { drafts, defaultRegistry } = chooseRegistries(variables, ofFile.drafts, problems);
  const text = { ...ofFile, drafts };
  const overridden = readOverrides(variables, text.top, problems);
  const top = { ...overridden, default_registry: overridden.default_registry ?? defaultRegistry };
  const proxy = readProxy(environment, problems);
  problems.push(...crossCheck(drafts, top.default_registry).filter(isNotNoise(text)).map(text.problem));
  problems.push(...checkRepeatedListen(text.top.listen ?? []).map(text.problem));
  problems.push(...checkLoops(drafts, top.listen ?? DEFAULTS.listen).map(text.problem));
  const context = { text, variables, cwd, folder: file?.folder ?? cwd, problems };
  const registries = await resolveRegistries(context);
  const { tls, findings, warnings } = await readTls(text.top.tls ?? {}, context.folder);
  problems.push(...findings.map(text.problem));
  const { ca: tlsCa, findings: ofCa } = await readTlsCa(text.top.tls ?? {}, context.folder);
  problems.push(...ofCa.map(text.problem));
  const api = apiConfig(top.api ?? {});
  const hostnames = [...registries.flatMap((registry) => registry.hostnames), ...api.hostnames];
  const { acme, findings: ofAcme } = await readAcme(text.top.tls ?? {}, context.folder, hostnames);
  problems.push(...ofAcme.map(text.problem));
  problems.push(...checkApi(api, registries).map(text.problem));
  const { webhooks, ...ofWebhooks } = await readWebhooks(top.webhooks ?? [], context.folder);
  problems.push(...ofWebhooks.findings.map(text.problem));
  const { access, ...ofAccess } = await readAccess(top.access ?? {}, context.folder, drafts);
  problems.push(...ofAccess.findings.map(text.problem));
  // Where `mode` is what is missing, that was said.
  if (access.mtls !== undefined && (text.top.tls?.mode ?? "off") === "off" && findings.length === 0) {
    const hint = "write `tls: { mode: files, cert: FILE, key: FILE }`";
    problems.push(text.problem({ path: ["access", "mtls"], message: "is of no use without TLS", hint }));
  }
  const byDefault = registries.find(({ id }) => id === (top.default_registry ?? DEFAULT_REGISTRY));
  if (access.paths.length > 0 && byDefault !== undefined && byDefault.serves !== "docker.io") {
    const message = "is not Docker Hub, which is all that secret paths are for";
    const hint = "Docker's mirror names no registry: remove `default_registry`, or `access.paths`";
    problems.push(text.problem({ path: ["default_registry"], message, hint }));
  }
  const listen = top.listen ?? DEFAULTS.listen;
  problems.push(...checkAlpnListen(listen, text.top.tls ?? {}).map(text.problem));
  problems.push(...checkListenMethods(listen, access).map(text.problem));
  problems.push(...checkPassThrough(registries, listen, access).map(text.problem));
  problems.push(...checkOpenCredentials(registries, listen, access).map(text.problem));
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    ...effective(top, registries, file?.name, options),
    proxy,
    tls,
    tlsCa,
    acme,
    access,
    api,
    webhooks,
    warnings: [
      ...warnings,
      ...ofWebhooks.warnings,
      ...apiWarnings(api, access),
      ...ofAccess.warnings,
      ...(draft === undefined ? await dotEnvWarnings(variables, context.folder) : []),
      ...plainWarnings(listen, text.top.tls ?? {}),
      ...unusedMethodWarnings(listen, access),
      ...proxyWarnings(registries, listen, access, top.trusted_proxies ?? []),
    ],
  };
}

function drafted({ name, folder, yaml }: Draft): NamedFile {
  return { name, folder, bytes: Buffer.from(yaml) };
}

/** Of a `.env` file that has secrets. */
async function dotEnvWarnings(variables: Variables, folder: string): Promise<string[]> {
  const secret = [...variables.values()].find(
    ({ file, name }) => file !== undefined && /_(?:PASSWORD|TOKEN)$/.test(name),
  );
  if (secret?.file === undefined) return [];
  return await openToAllWarnings(resolve(folder, DOT_ENV), `${secret.name} in ${shown(secret.file)}`);
}

/** A registry that could not be read does not lack its keys as well, and may well be the default. */
function isNotNoise({ brokenIds, top }: ConfigText): (finding: Finding) => boolean {
  return ({ path }) => {
    const id = path[0] === "default_registry" ? top.default_registry : path[1];
    return !brokenIds.has(String(id));
  };
}

function folderOf(file: NamedFile | undefined, cwd: string): { folder: string; folderName: string } {
  if (file === undefined) return { folder: cwd, folderName: "" };
  const named = dirname(file.name);
  return { folder: file.folder, folderName: named === "." ? "" : `${named.replace(/\/$/, "")}/` };
}

interface Context {
  readonly text: ConfigText;
  readonly variables: Variables;
  readonly cwd: string;
  /** What `ca`, `tls.cert` and `tls.key` are relative to. */
  readonly folder: string;
  readonly problems: Problem[];
}

/** Registries that are switched off are checked all the same: they may be switched on in the middle of the night. */
async function resolveRegistries(context: Context): Promise<RegistryConfig[]> {
  const { drafts } = context.text;
  const registries: RegistryConfig[] = [];
  for (const draft of drafts) {
    const credentials = await resolveCredentials(draft, context);
    const ca = await resolveAuthorities(draft, context);
    const config = registryConfig(draft, drafts, { credentials, ca });
    if (config !== undefined && draft.isEnabled) registries.push(config);
  }
  return registries;
}

async function resolveCredentials({ id, input }: RegistryDraft, { text, variables, cwd, problems }: Context) {
  const before = problems.length;
  const secrets = await readSecrets(id, variables, cwd, problems);
  // A secret that could not be read is not missing as well, nor is one that stands below a misspelt id.
  if (problems.length > before || text.brokenIds.has(id) || isDoubtful(id, text.drafts)) return undefined;
  const { username, password, token } = input;
  const combined = combineSecrets({ username, password, token, ...secrets });
  if ("credentials" in combined) return combined.credentials;
  const { key, missing, message } = combined;
  const variable = variables.get(secretVariable(id, key)) ?? variables.get(`${secretVariable(id, key)}_FILE`);
  const hint =
    missing === undefined ? "remove one of the two" : `set ${secretVariable(id, missing)} or the key ${missing}`;
  if (variable === undefined) problems.push(text.problem({ path: ["registries", id, key], message, hint }));
  else
    problems.push({ file: variable.file, line: variable.line, column: undefined, path: variable.name, message, hint });
  return undefined;
}

function isDoubtful(id: string, drafts: readonly RegistryDraft[]): boolean {
  return drafts.some((one) => {
    const meant = misspeltBuiltIn(one);
    return meant !== undefined && (one.id === id || meant === id);
  });
}

async function resolveAuthorities({ id, input }: RegistryDraft, { text, folder, problems }: Context) {
  if (input.ca === undefined) return undefined;
  try {
    return await readAuthorities(input.ca, folder);
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    problems.push(text.problem({ path: ["registries", id, "ca"], message: error.message, hint: error.hint }));
    return undefined;
  }
}

const DEFAULTS = {
  listen: [{ host: "127.0.0.1", port: 5000, methods: undefined, tls: true }],
  dataDir: "./data",
  minFreeDiskBytes: 1024 ** 3,
  fillsMax: 32,
  keepFreshEveryMs: 60 * 60 * 1000,
  workers: 1,
  stopTimeoutMs: 25_000,
} as const;

function effective(
  top: TopInput,
  registries: readonly RegistryConfig[],
  source: string | undefined,
  { cwd, isTerminal }: LoadOptions,
): Omit<Config, "proxy" | "tls" | "tlsCa" | "acme" | "access" | "api" | "webhooks" | "warnings"> {
  const format = top.log?.format ?? "auto";
  const auto = (isTerminal ?? process.stdout.isTTY) ? "pretty" : "json";
  return {
    source,
    url: top.url,
    listen: top.listen ?? DEFAULTS.listen,
    trustedProxies: top.trusted_proxies ?? [],
    dataDir: resolve(cwd, top.data_dir ?? DEFAULTS.dataDir),
    minFreeDiskBytes: top.min_free_disk ?? DEFAULTS.minFreeDiskBytes,
    maxSizeBytes: top.max_size,
    maxAgeMs: top.max_age,
    pins: [...new Set(top.pins ?? [])],
    defaultRegistry: top.default_registry ?? DEFAULT_REGISTRY,
    registries,
    fillsMax: top.fills_max ?? DEFAULTS.fillsMax,
    keepFreshEveryMs: top.keep_fresh_every ?? DEFAULTS.keepFreshEveryMs,
    workers: resolveWorkers(top.workers ?? DEFAULTS.workers),
    log: { format: format === "auto" ? auto : format, level: top.log?.level ?? "info" },
    stopTimeoutMs: top.stop_timeout ?? DEFAULTS.stopTimeoutMs,
  };
}
