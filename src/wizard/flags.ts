import { readNewPassword, readUserName } from "../access/new-user.ts";
import { readClientName, readServerName } from "../certificates/authority-folder.ts";
import { idFinding } from "../config/ids.ts";
import {
  readDirectory,
  readHostname,
  readListen,
  readNetwork,
  readOneOf,
  readPath,
  readPrincipalName,
  readSecretText,
  readServes,
  readSize,
  readUpstream,
  readUrl,
  readUsername,
  readText,
} from "../config/values.ts";
import { shown } from "../lib/units.ts";
import { ValueError } from "../lib/value-error.ts";
import {
  type AccessAnswer,
  type Answers,
  knowsPeople,
  listenText,
  type RegistryAnswer,
  type TlsAnswer,
} from "./answers.ts";
import { acmeNames, hostOfUrl, listOf, serverNames, urlFor } from "./names.ts";
import { AUTHORITY_FOLDER, HTPASSWD, type Making, type MakingAuthority, type Plan } from "./plan.ts";
import { OWN_TLS } from "./questions/tls.ts";

/** What was said on the command line, as it was written. */
export interface Flags {
  readonly registries?: readonly string[];
  readonly addRegistry?: readonly string[];
  readonly hostnameAll?: string;
  readonly hostname?: readonly string[];
  /** `--no-hostnames`. */
  readonly hostnames?: boolean;
  readonly listen?: readonly string[];
  readonly url?: string;
  readonly tls?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly ca?: string;
  readonly acmeDirectory?: string;
  readonly acmeCa?: string;
  readonly acmeEmail?: string;
  readonly acmeChallenge?: string;
  readonly certificateName?: readonly string[];
  readonly everybody?: true;
  readonly network?: readonly string[];
  readonly basicUser?: string;
  readonly htpasswd?: string;
  readonly mtlsCa?: string;
  readonly client?: readonly string[];
  readonly secretPath?: string;
  readonly username?: readonly string[];
  readonly dataDir?: string;
  readonly minFreeDisk?: string;
}

/** Secrets, which come from anywhere but the command line. */
export interface FlagSecrets {
  /** Of `basicUser`. */
  readonly user: string | undefined;
  /** By a registry's id. */
  readonly registries: ReadonlyMap<string, string>;
}

/** Who needs a secret, in the order in which they are read from standard input: a registry's id, or undefined for the user. */
export function secretsNeeded({ basicUser, username = [] }: Flags): (string | undefined)[] {
  const ids = username.map((one) => pairOf(one, "--username", "dockerhub=me")).filter(([, name]) => name !== "");
  return [...(basicUser === undefined ? [] : [undefined]), ...ids.map(([id]) => id)];
}

/**
 * What becomes of the answers that there are; what no flag is about stays.
 *
 * @throws ValueError
 */
export function planOf(before: Answers, flags: Flags, secrets: FlagSecrets): Plan {
  const registries = withCredentials(withHostnames(withRegistries(before.registries, flags), flags), flags, secrets);
  const reached: Answers = {
    ...before,
    registries,
    listen: flags.listen?.flatMap(listOf).map((one) => listenText(readListen(one))) ?? before.listen,
    dataDir: flags.dataDir === undefined ? before.dataDir : readPath(flags.dataDir, "./data"),
    minFreeDiskBytes: flags.minFreeDisk === undefined ? before.minFreeDiskBytes : readSize(flags.minFreeDisk),
  };
  const kind = flags.tls === undefined ? undefined : readOneOf(flags.tls, TLS_KINDS);
  // By its kind alone it is known whether there is TLS, which the address tells; the certificate's names are told by the address.
  const scheme: TlsAnswer = kind === undefined ? before.tls : kind === "off" ? { kind: "off" } : OWN_TLS;
  const named = { ...reached, url: urlOf(before, { ...reached, tls: scheme }, flags) };
  const tls = tlsOf(named, kind, flags);
  const answers = { ...named, tls, access: accessOf(before.access, flags) };
  return { answers, making: makingOf(answers, kind, flags, secrets) };
}

const TLS_KINDS = ["off", "files", "acme", "own"] as const;
type TlsKind = (typeof TLS_KINDS)[number];

/** `ID=VALUE`. */
function pairOf(text: string, flag: string, example: string): readonly [id: string, value: string] {
  const at = text.indexOf("=");
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw new ValueError(`${flag} ${shown(text)} is not ID=VALUE`, `such as ${flag} ${example}`);
}

function withRegistries(before: readonly RegistryAnswer[], { registries, addRegistry = [] }: Flags): RegistryAnswer[] {
  const added = addRegistry.map((text): RegistryAnswer => {
    const [id, where] = pairOf(text, "--add-registry", "corp=https://registry.corp.example");
    const wrong = idFinding(id);
    if (wrong !== undefined) throw new ValueError(`${shown(id)} ${wrong.message}`, wrong.hint);
    const upstream = readUpstream(where);
    const serves = readServes(new URL(upstream).host);
    const credentials = { kind: "none" as const };
    return { id, serves, upstream, isBuiltIn: false, isOn: true, hostnames: [], credentials };
  });
  const isNew = ({ id, upstream }: RegistryAnswer) => {
    const known = before.find((one) => one.id === id);
    if (known === undefined) return true;
    // Said once more, it says nothing new.
    if (known.upstream === upstream) return false;
    throw new ValueError(
      `there is a registry ${shown(id)} already`,
      "choose another id, or change its `upstream` in the file",
    );
  };
  const all = [...before, ...added.filter(isNew)];
  if (registries === undefined) return all;
  const chosen = registries.flatMap(listOf);
  for (const id of chosen) assertKnown(id, all);
  const named = new Set([...chosen, ...added.map(({ id }) => id)]);
  return all.map((one) => ({ ...one, isOn: named.has(one.id) }));
}

function assertKnown(id: string, all: readonly RegistryAnswer[]): void {
  if (all.some((one) => one.id === id)) return;
  const meant = all.find(({ serves }) => serves === id)?.id;
  const hint =
    meant === undefined ? `the registries here are ${all.map((one) => one.id).join(", ")}` : `did you mean ${meant}?`;
  throw new ValueError(`there is no registry ${shown(id)}`, hint);
}

function withHostnames(all: readonly RegistryAnswer[], { hostname = [], hostnames }: Flags): RegistryAnswer[] {
  const pairs = hostname.map((text) => pairOf(text, "--hostname", "ghcr=ghcr.cache.example.com"));
  for (const [id] of pairs) assertKnown(id, all);
  return all.map((one) => {
    const its = pairs.filter(([id]) => id === one.id).flatMap(([, names]) => listOf(names).map(readHostname));
    if (its.length > 0) return { ...one, hostnames: its };
    return hostnames === false ? { ...one, hostnames: [] } : one;
  });
}

function withCredentials(
  all: readonly RegistryAnswer[],
  { username = [] }: Flags,
  { registries }: FlagSecrets,
): RegistryAnswer[] {
  const pairs = username.map((text) => pairOf(text, "--username", "dockerhub=me"));
  for (const [id] of pairs) assertKnown(id, all);
  return all.map((one) => {
    const pair = pairs.find(([id]) => id === one.id);
    if (pair === undefined) return one;
    if (pair[1] === "") return { ...one, credentials: { kind: "none" } };
    const password = readSecretText(registries.get(one.id), "a text");
    return { ...one, credentials: { kind: "basic", username: readUsername(pair[1]), password } };
  });
}

function urlOf(before: Answers, after: Pick<Answers, "listen" | "tls">, flags: Flags): string | undefined {
  if (flags.url !== undefined) return flags.url === "" ? undefined : readUrl(flags.url);
  if (flags.hostnameAll !== undefined) return urlFor(readHostname(flags.hostnameAll), after);
  if (flags.hostnames === false) return undefined;
  const host = hostOfUrl(before);
  return host === undefined ? before.url : urlFor(host, after);
}

const OF_FILES = ["cert", "key", "ca"] as const;
const OF_ACME = ["acmeDirectory", "acmeCa", "acmeEmail", "acmeChallenge"] as const;

function tlsOf(answers: Answers, kind: TlsKind | undefined, flags: Flags): TlsAnswer {
  const { tls: before } = answers;
  const becomes = kind ?? before.kind;
  const stray = [...(becomes === "files" ? [] : OF_FILES), ...(becomes === "acme" ? [] : OF_ACME)].find(
    (key) => flags[key] !== undefined,
  );
  if (stray !== undefined) {
    const flag = stray.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const needed = (OF_FILES as readonly string[]).includes(stray) ? "files" : "acme";
    throw new ValueError(`--${flag} has no effect here`, `write --tls ${needed} beside it`);
  }
  if (becomes === "off") return { kind: "off" };
  if (becomes === "own") return OWN_TLS;
  if (becomes === "acme") return acmeOf(answers, flags);
  const has = before.kind === "files" ? before : undefined;
  const [cert, key, ca] = [flags.cert ?? has?.cert, flags.key ?? has?.key, flags.ca ?? has?.ca];
  if (cert === undefined || key === undefined) throw new ValueError("--tls files needs --cert and --key");
  const path = (text: string) => readPath(text, "./cache.pem");
  return { kind: "files", cert: path(cert), key: path(key), ca: ca === undefined || ca === "" ? undefined : path(ca) };
}

function acmeOf(answers: Answers, flags: Flags): TlsAnswer {
  const has = answers.tls.kind === "acme" ? answers.tls : undefined;
  const { acmeDirectory, acmeCa, acmeEmail, acmeChallenge, certificateName } = flags;
  const directory = acmeDirectory === undefined ? has?.directory : readDirectory(acmeDirectory);
  const found = acmeNames(serverNames(answers));
  const hasHostnames = answers.registries.some(({ isOn, hostnames }) => isOn && hostnames.length > 0);
  // Those of registries need not be said.
  const names = answers.url === undefined && hasHostnames ? undefined : found;
  const chosen =
    certificateName?.flatMap(listOf).map(readHostname) ??
    (has === undefined || flags.hostnameAll !== undefined || flags.hostname !== undefined ? names : has.names);
  if (chosen?.length === 0)
    throw new ValueError("--tls acme needs host names", "such as --hostname-all cache.example.com");
  return {
    kind: "acme",
    directory,
    directoryCa: acmeCa === undefined ? has?.directoryCa : readPath(acmeCa, "./step-ca-root.pem"),
    email: acmeEmail === undefined ? has?.email : readText(acmeEmail, "ops@example.com"),
    names: chosen,
    challenge:
      acmeChallenge === undefined
        ? (has?.challenge ?? "http-01")
        : readOneOf(acmeChallenge, ["http-01", "tls-alpn-01"] as const),
  };
}

function accessOf(before: AccessAnswer, flags: Flags): AccessAnswer {
  const { network, basicUser, htpasswd, mtlsCa, client, secretPath, everybody } = flags;
  const start = everybody === true ? { networks: [], htpasswd: undefined, mtlsCa: undefined, paths: [] } : before;
  const isOwn = mtlsCa === "own" || (mtlsCa === undefined && client !== undefined);
  const ca = isOwn ? `${AUTHORITY_FOLDER}/ca.pem` : mtlsCa;
  const path = secretPath === undefined ? undefined : readPrincipalName(secretPath);
  const isAdded = path !== undefined && !start.paths.some(({ name }) => name === path);
  const users = htpasswd ?? (basicUser === undefined ? undefined : (start.htpasswd ?? HTPASSWD));
  const access = {
    networks: network?.flatMap(listOf).map(readNetwork) ?? start.networks,
    htpasswd: users === undefined ? start.htpasswd : readPath(users, "./users.htpasswd"),
    mtlsCa: ca === undefined ? start.mtlsCa : readPath(ca, "./clients-ca.pem"),
    paths: isAdded ? [...start.paths, { name: path, tokenFile: `${path}.token` }] : start.paths,
  };
  const knew = knowsPeople(start);
  // Who may come in without a name was said by hand, or goes without saying.
  const isByHand = everybody !== true && before.anonymous === knew;
  const isNamed = knowsPeople(access);
  return { ...access, anonymous: isByHand && knew === isNamed ? before.anonymous : !isNamed };
}

function makingOf(answers: Answers, kind: TlsKind | undefined, flags: Flags, secrets: FlagSecrets): Making {
  const { basicUser, client, mtlsCa, secretPath, certificateName = [] } = flags;
  const isOwnServer = kind === "own";
  const clients = client?.flatMap(listOf).map(readClientName) ?? [];
  const names = certificateName.length > 0 ? certificateName.flatMap(listOf).map(readServerName) : serverNames(answers);
  const authority: MakingAuthority | undefined =
    isOwnServer || mtlsCa === "own" || clients.length > 0
      ? { folder: AUTHORITY_FOLDER, serverNames: isOwnServer ? names : [], clients }
      : undefined;
  const token = answers.access.paths.find(({ name }) => name === secretPath)?.tokenFile;
  const users =
    basicUser === undefined
      ? []
      : [
          {
            file: answers.access.htpasswd ?? HTPASSWD,
            name: readUserName(basicUser),
            password: readNewPassword(secrets.user ?? ""),
          },
        ];
  return { authority, tokens: token === undefined ? [] : [token], users };
}
