import { isUtf8 } from "node:buffer";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { nearest } from "../lib/nearest.ts";
import type { Problem } from "./errors.ts";
import { CONFIG_BYTES_MAX, readBounded } from "./files.ts";

const PREFIX = "REGISTRY_CACHE_";

/** Read before any `.env`: it tells where that lies. */
export const CONFIG_VARIABLE = "REGISTRY_CACHE_CONFIG";

export const SETTING_VARIABLES = {
  listen: "REGISTRY_CACHE_LISTEN",
  dataDir: "REGISTRY_CACHE_DATA_DIR",
  workers: "REGISTRY_CACHE_WORKERS",
  registries: "REGISTRY_CACHE_REGISTRIES",
  networks: "REGISTRY_CACHE_NETWORKS",
  trustedProxies: "REGISTRY_CACHE_TRUSTED_PROXIES",
  logFormat: "REGISTRY_CACHE_LOG_FORMAT",
  logLevel: "REGISTRY_CACHE_LOG_LEVEL",
} as const;

export const SECRET_KEYS = ["username", "password", "token"] as const;
export type SecretKey = (typeof SECRET_KEYS)[number];

/** `REGISTRY_CACHE_MY_CORP_PASSWORD`. Ids have no underscore, so two of them never share a variable. */
export function secretVariable(id: string, key: SecretKey): string {
  return registryVariable(id, key);
}

/** `REGISTRY_CACHE_MY_CORP_HOSTNAMES`. */
export function hostnamesVariable(id: string): string {
  return registryVariable(id, "hostnames");
}

function registryVariable(id: string, key: string): string {
  return `${PREFIX}${id.replaceAll("-", "_")}_${key}`.toUpperCase();
}

export interface Variable {
  readonly name: string;
  readonly value: string;
  /** The `.env` file; undefined for the process's own environment. */
  readonly file: string | undefined;
  readonly line: number | undefined;
}

export type Variables = ReadonlyMap<string, Variable>;

export interface EnvironmentOptions {
  readonly environment: NodeJS.ProcessEnv;
  /** Where `.env` lies. */
  readonly folder: string;
  /** That folder as the user would write it, with its last `/`, or empty. */
  readonly folderName: string;
  /** Its text, instead of what lies there. */
  readonly draft?: string | undefined;
}

/** The file beside the configuration. */
export const DOT_ENV = ".env";

/** Our variables that have a value: the process's own ones, and those of `.env` that it does not set. */
export async function readVariables(
  { environment, folder, folderName, draft }: EnvironmentOptions,
  problems: Problem[],
): Promise<Variables> {
  const variables = new Map<string, Variable>();
  const file = `${folderName}${DOT_ENV}`;
  const found =
    draft === undefined ? await readDotEnv(join(folder, DOT_ENV), file, problems) : parse(draft, file, problems);
  for (const variable of found) {
    variables.set(variable.name, variable);
  }
  for (const [name, value] of Object.entries(environment)) {
    // Docker Compose passes `${UNSET:-}` on as an empty one: that is none.
    if (isOurs(name) && value !== undefined && value !== "") {
      variables.set(name, { name, value, file: undefined, line: undefined });
    }
  }
  return variables;
}

async function readDotEnv(path: string, file: string, problems: Problem[]): Promise<Variable[]> {
  const bytes = await readBounded(path, CONFIG_BYTES_MAX);
  const place = { file, line: undefined, column: undefined, path: "" };
  if (!Buffer.isBuffer(bytes)) {
    // Some keep a Python environment in a folder of that name.
    if (bytes.reason === "other") problems.push({ ...place, message: bytes.message, hint: bytes.hint });
    return [];
  }
  if (!isUtf8(bytes)) {
    problems.push({ ...place, message: "is not UTF-8", hint: "save the file with the encoding UTF-8" });
    return [];
  }
  return parse(bytes.toString("utf8"), file, problems);
}

function parse(text: string, file: string, problems: Problem[]): Variable[] {
  const place = { file, line: undefined, column: undefined, path: "" };
  const lines = linesOf(text);
  for (const [index, line] of text.split("\n").entries()) {
    const name = /^\s*(?:export\s+)?(REGISTRY_CACHE_\w*)(?!\w|\s*=)/.exec(line)?.[1];
    if (name === undefined) continue;
    problems.push({ ...place, line: index + 1, path: name, message: "is given no value", hint: `write ${name}=VALUE` });
  }
  return Object.entries(parseEnv(text)).flatMap(([name, value]) =>
    isOurs(name) && value !== undefined && value !== "" ? [{ name, value, file, line: lines.get(name) }] : [],
  );
}

/** As in a shell the last assignment counts. */
function linesOf(text: string): ReadonlyMap<string, number> {
  const lines = new Map<string, number>();
  for (const [index, line] of text.split("\n").entries()) {
    const name = /^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=/.exec(line)?.[1];
    if (name !== undefined) lines.set(name, index + 1);
  }
  return lines;
}

/**
 * Kubernetes sets `REGISTRY_CACHE_SERVICE_HOST`, `REGISTRY_CACHE_PORT_5000_TCP` and the like in every container beside a
 * Service named `registry-cache` or `registry-cache-...`: those are not meant for us.
 */
const SERVICE_LINK =
  /^REGISTRY_CACHE_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$/;

function isOurs(name: string): boolean {
  return name.startsWith(PREFIX) && !SERVICE_LINK.test(name);
}

/** A misspelt variable would otherwise mean that everybody pulls anonymously, and nobody knows why. */
export function unknownVariables(variables: Variables, ids: Iterable<string>): Problem[] {
  const settings: string[] = [CONFIG_VARIABLE, ...Object.values(SETTING_VARIABLES)];
  const ofIds = [...ids];
  const secrets = ofIds.flatMap((id) => SECRET_KEYS.map((key) => secretVariable(id, key)));
  const known = new Set([
    ...settings,
    ...secrets,
    ...secrets.map((name) => `${name}_FILE`),
    ...ofIds.map(hostnamesVariable),
  ]);
  return [...variables.values()].flatMap((variable) => {
    if (variable.name === CONFIG_VARIABLE && variable.file !== undefined) {
      return [variableProblem(variable, "has no effect here", "set it in the environment, or use --config")];
    }
    if (known.has(variable.name)) return [];
    const near = nearestVariable(variable.name, known);
    const hint =
      near === undefined ? `without registries' secrets there are ${settings.join(", ")}` : `did you mean ${near}?`;
    return [variableProblem(variable, "unknown environment variable", hint)];
  });
}

/** Without what all of them have in common, by which everything would resemble everything. */
function nearestVariable(name: string, known: Iterable<string>): string | undefined {
  const near = nearest(
    name.slice(PREFIX.length),
    [...known].map((one) => one.slice(PREFIX.length)),
  );
  return near === undefined ? undefined : PREFIX + near;
}

export function variableProblem({ name, file, line }: Variable, message: string, hint: string | undefined): Problem {
  return { file, line, column: undefined, path: name, message, hint };
}
