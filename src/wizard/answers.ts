import { parseEnv } from "node:util";
import { isIPv6 } from "node:net";
import { DEFAULT_REGISTRY } from "../config/checks.ts";
import type { ListenAddress } from "../config/config.ts";
import { SECRET_KEYS, secretVariable } from "../config/environment.ts";
import { readConfigText } from "../config/read-text.ts";
import type { RegistryDraft } from "../config/registries.ts";
import type { AccessInput, TlsInput } from "../config/schema.ts";

/** What the wizard asks for, which is less than a configuration has: everything else in the files is left alone. */
export interface Answers {
  /** Built-in ones first, as in the configuration; those that are off among them. */
  readonly registries: readonly RegistryAnswer[];
  /** `127.0.0.1:5000`; at least one. */
  readonly listen: readonly string[];
  /** By which clients reach the cache. */
  readonly url: string | undefined;
  readonly tls: TlsAnswer;
  readonly access: AccessAnswer;
  readonly dataDir: string;
  readonly minFreeDiskBytes: number;
}

export interface RegistryAnswer {
  readonly id: string;
  readonly serves: string;
  readonly upstream: string;
  readonly isBuiltIn: boolean;
  readonly isOn: boolean;
  readonly hostnames: readonly string[];
  readonly credentials: CredentialsAnswer;
}

/** `kept`: whatever they are and wherever they stand, they stay. */
export type CredentialsAnswer =
  | { readonly kind: "none" }
  | { readonly kind: "kept"; readonly username: string | undefined }
  | { readonly kind: "basic"; readonly username: string; readonly password: string };

/** File names are relative to the configuration's folder. */
export type TlsAnswer =
  | { readonly kind: "off" }
  | { readonly kind: "files"; readonly cert: string; readonly key: string; readonly ca: string | undefined }
  | ({ readonly kind: "acme" } & AcmeAnswer);

export interface AcmeAnswer {
  /** Undefined: Let's Encrypt. */
  readonly directory: string | undefined;
  readonly directoryCa: string | undefined;
  readonly email: string | undefined;
  /** Undefined: all host names of the registries. */
  readonly names: readonly string[] | undefined;
  readonly challenge: "http-01" | "tls-alpn-01";
}

export interface AccessAnswer {
  /** Whether those may pull who say nothing of themselves. */
  readonly anonymous: boolean;
  readonly networks: readonly string[];
  readonly htpasswd: string | undefined;
  /** The file with the authority that signs clients' certificates. */
  readonly mtlsCa: string | undefined;
  readonly paths: readonly PathAnswer[];
}

export interface PathAnswer {
  readonly name: string;
  /** Undefined where the secret stands in the configuration itself. */
  readonly tokenFile: string | undefined;
}

/** The texts of the two files; empty where there is none. */
export interface Sources {
  readonly yaml: string;
  readonly dotEnv: string;
}

/** Without a configuration. */
export const DEFAULTS = {
  listen: ["127.0.0.1:5000"],
  dataDir: "./data",
  minFreeDiskBytes: 1024 ** 3,
} as const;

/**
 * What the files say already. They must be ones that can be loaded.
 *
 * @throws ConfigError where the text is not even YAML
 */
export function answersOf({ yaml, dotEnv }: Sources): Answers {
  const { top, drafts } = readConfigText({ name: "configuration", folder: "/", bytes: Buffer.from(yaml) });
  const variables = parseEnv(dotEnv);
  return {
    registries: drafts.map((draft) => registryAnswer(draft, variables)),
    listen: top.listen?.map(listenText) ?? DEFAULTS.listen,
    url: top.url,
    tls: tlsAnswer(top.tls ?? {}),
    access: accessAnswer(top.access ?? {}),
    dataDir: top.data_dir ?? DEFAULTS.dataDir,
    minFreeDiskBytes: top.min_free_disk ?? DEFAULTS.minFreeDiskBytes,
  };
}

function registryAnswer(draft: RegistryDraft, variables: NodeJS.Dict<string>): RegistryAnswer {
  const { id, input, builtIn, isEnabled, serves = "", upstream = "" } = draft;
  return {
    id,
    serves,
    upstream,
    isBuiltIn: builtIn !== undefined,
    isOn: isEnabled,
    hostnames: [...new Set(input.hostnames ?? [])],
    credentials: credentialsAnswer(draft, variables),
  };
}

function credentialsAnswer({ id, input }: RegistryDraft, variables: NodeJS.Dict<string>): CredentialsAnswer {
  const username = variables[secretVariable(id, "username")] ?? input.username;
  const isThere = SECRET_KEYS.some((key) => {
    const name = secretVariable(id, key);
    return (variables[name] ?? variables[`${name}_FILE`] ?? input[key]) !== undefined;
  });
  return isThere ? { kind: "kept", username } : { kind: "none" };
}

export function listenText({ host, port }: ListenAddress): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

function tlsAnswer({ mode = "off", ...input }: TlsInput): TlsAnswer {
  if (mode === "files") {
    const { cert = "", key = "", ca } = input;
    return { kind: "files", cert, key, ca };
  }
  if (mode === "off") return { kind: "off" };
  const { directory, directory_ca: directoryCa, email, names, challenge = "http-01" } = input;
  return { kind: "acme", directory, directoryCa, email, names, challenge };
}

function accessAnswer({ anonymous, networks = [], basic, mtls, paths = [] }: AccessInput): AccessAnswer {
  const answer = {
    networks,
    htpasswd: basic?.htpasswd,
    mtlsCa: mtls?.ca,
    paths: paths.map(({ name, token_file: tokenFile }) => ({ name, tokenFile })),
  };
  return { anonymous: anonymous ?? !knowsPeople(answer), ...answer };
}

/** Whether there is any way to say who one is. */
export function knowsPeople({ htpasswd, mtlsCa, paths }: Omit<AccessAnswer, "anonymous">): boolean {
  return htpasswd !== undefined || mtlsCa !== undefined || paths.length > 0;
}

/** The registry for requests that name none, by what the file says: it must be one that is on. */
export function defaultRegistryOf(said: string | undefined, registries: readonly RegistryAnswer[]): string | undefined {
  const on = registries.filter(({ isOn }) => isOn).map(({ id }) => id);
  if (on.includes(said ?? DEFAULT_REGISTRY)) return said;
  return on[0];
}
