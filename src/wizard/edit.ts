import { isDeepStrictEqual, parseEnv } from "node:util";
import { secretVariable, SECRET_KEYS } from "../config/environment.ts";
import { readListen } from "../config/values.ts";
import { formatSize } from "../lib/units.ts";
import {
  type AccessAnswer,
  type Answers,
  answersOf,
  defaultRegistryOf,
  knowsPeople,
  listenText,
  type RegistryAnswer,
  type Sources,
  type TlsAnswer,
} from "./answers.ts";
import { editEnv } from "./env-file.ts";
import { type KeyPath, YamlEditor } from "./yaml-editor.ts";

const HEADER = `# Registry Cache. \`registry-cache config\` wrote this; it may be run again, and edited by hand beside that.
# \`registry-cache check\` shows what it amounts to, docs/configuration.md explains every key.
`;

/** Above keys that the wizard adds. */
const COMMENTS = {
  listen: "Address and port for clients; 127.0.0.1 is this machine alone, 0.0.0.0 every address of it.",
  url: "By which clients reach the cache: `registry-cache connect` writes it into their configuration.",
  tls: "What clients are spoken to with.",
  access: "Who may pull. docs/security.md says what each way is good for.",
  data_dir: "Where images lie.",
  min_free_disk: "What is left free on that disk; beyond it, pulls are streamed through and not kept.",
  default_registry: "The registry for requests that name none.",
  registries: "What differs from the defaults, registry by registry. Passwords stand in .env beside this file.",
} as const;

/**
 * The files with these answers. What is answered as before stays as it stands, to the byte, and so does everything that is not asked.
 *
 * @throws EditError where a file has a form that cannot be changed; ValueError for a password that `.env` cannot hold
 */
export function edited(sources: Sources, after: Answers): Sources {
  const before = answersOf(sources);
  const editor = new YamlEditor(sources.yaml.trim() === "" ? HEADER : sources.yaml);
  const isNew = sources.yaml.trim() === "";
  const differs = (one: keyof Answers) => !isDeepStrictEqual(before[one], after[one]);
  if (isNew || differs("listen")) setListen(editor, after.listen);
  if (differs("url")) setOrRemove(editor, "url", after.url);
  if (differs("tls")) editTls(editor, before.tls, after.tls);
  if (differs("access")) editAccess(editor, after.access);
  if (isNew || differs("dataDir")) editor.set(["data_dir"], after.dataDir, COMMENTS.data_dir);
  if (isNew || differs("minFreeDiskBytes")) {
    editor.set(["min_free_disk"], formatSize(after.minFreeDiskBytes), COMMENTS.min_free_disk);
  }
  const said = editor.get(["default_registry"]) as string | undefined;
  setOrRemove(editor, "default_registry", defaultRegistryOf(said, after.registries));
  const changes = new Map<string, string | undefined>();
  for (const registry of after.registries) {
    const its = before.registries.find(({ id }) => id === registry.id);
    const isInEnv = Object.hasOwn(parseEnv(sources.dotEnv), secretVariable(registry.id, "username"));
    editRegistry(editor, its, registry, isInEnv);
    for (const [name, value] of secretChanges(sources, its, registry)) changes.set(name, value);
  }
  const isSame = !isNew && editor.text.trimEnd() === sources.yaml.trimEnd();
  return { yaml: isSame ? sources.yaml : editor.text, dotEnv: editEnv(sources.dotEnv, changes) };
}

function setOrRemove(editor: YamlEditor, key: "url" | "default_registry", value: string | undefined): void {
  if (value === undefined) editor.remove([key], COMMENTS[key]);
  else editor.set([key], value, COMMENTS[key]);
}

/** An address that stays keeps what else is said of it. */
function setListen(editor: YamlEditor, listen: readonly string[]): void {
  const raw = editor.get(["listen"]);
  const entries = Array.isArray(raw) ? (raw as unknown[]) : [raw];
  const addressOf = (entry: unknown) => {
    const address = typeof entry === "object" && entry !== null ? (entry as { address?: unknown }).address : entry;
    return address === undefined ? undefined : listenText(readListen(address));
  };
  const kept = listen.map((address) => entries.find((entry) => addressOf(entry) === address) ?? address);
  const [only] = kept;
  editor.set(["listen"], kept.length === 1 && !Array.isArray(raw) ? only : kept, COMMENTS.listen);
}

/** Keys that only go with one mode, or with one another. */
const TLS_KEYS = ["mode", "cert", "key", "ca", "directory", "directory_ca", "email", "names", "challenge"] as const;
const ACME_ALONE = ["staging", "one_each", "http_listen"] as const;

function editTls(editor: YamlEditor, before: TlsAnswer, tls: TlsAnswer): void {
  // The authority of the certificate before is not that of the next one.
  const ca = before.kind === tls.kind ? editor.get(["tls", "ca"]) : undefined;
  const wanted = tlsKeys(tls, { ca, challenge: editor.get(["tls", "challenge"]) });
  if (editor.get(["tls"]) === undefined) {
    if (Object.keys(wanted).length > 0) editor.set(["tls"], wanted, COMMENTS.tls);
    return;
  }
  for (const key of TLS_KEYS) {
    const value = wanted[key];
    if (value !== undefined) editor.set(["tls", key], value, COMMENTS.tls);
  }
  const stay = tls.kind === "acme" ? staying(tls) : [];
  for (const key of [...TLS_KEYS, ...ACME_ALONE]) {
    if (wanted[key] === undefined && !stay.includes(key)) editor.remove(["tls", key], COMMENTS.tls);
  }
}

/** What is not asked and fits to the answers. */
function staying({ directory, challenge }: Extract<TlsAnswer, { kind: "acme" }>): string[] {
  return [
    "one_each",
    ...(directory === undefined ? ["staging"] : []),
    ...(challenge === "http-01" ? ["http_listen"] : []),
  ];
}

/** `said` is what stands there already of what need not be said. */
function tlsKeys(
  tls: TlsAnswer,
  said: { readonly ca: unknown; readonly challenge: unknown },
): Readonly<Record<string, unknown>> {
  const { ca } = said;
  if (tls.kind === "off") return defined({ ca });
  if (tls.kind === "files") return defined({ mode: "files", cert: tls.cert, key: tls.key, ca: tls.ca });
  const { directory, directoryCa, email, names, challenge } = tls;
  return defined({
    mode: "acme",
    ca,
    directory,
    directory_ca: directoryCa,
    email,
    names,
    challenge: challenge === "http-01" && said.challenge === undefined ? undefined : challenge,
  });
}

function defined(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function editAccess(editor: YamlEditor, access: AccessAnswer): void {
  const { networks, htpasswd, mtlsCa, paths } = access;
  const isOpen = !knowsPeople(access);
  const wanted: [path: KeyPath, value: unknown][] = [
    // By default it is what it is to be.
    [["access", "anonymous"], access.anonymous === isOpen ? undefined : access.anonymous],
    [["access", "networks"], networks.length === 0 ? undefined : networks],
    // What else is said of them goes with them.
    [["access", "basic", ...(htpasswd === undefined ? [] : ["htpasswd"])], htpasswd],
    ...(htpasswd === undefined ? [[["access", "bearer"], undefined] satisfies [KeyPath, unknown]] : []),
    [["access", "mtls", ...(mtlsCa === undefined ? [] : ["ca"])], mtlsCa],
    [["access", "paths"], pathsOf(editor, paths)],
  ];
  // What is added comes first: a mapping that is left empty goes, with the comments in it.
  for (const [path, value] of wanted) if (value !== undefined) editor.set(path, value, COMMENTS.access);
  for (const [path, value] of wanted) if (value === undefined) editor.remove(path, COMMENTS.access);
}

function pathsOf(editor: YamlEditor, paths: AccessAnswer["paths"]): unknown[] | undefined {
  if (paths.length === 0) return undefined;
  const raw = (editor.get(["access", "paths"]) ?? []) as { name?: unknown }[];
  return paths.map(({ name, tokenFile }) => {
    return raw.find((one) => one.name === name) ?? { name, token_file: tokenFile ?? `${name}.token` };
  });
}

/** `isInEnv`: the user's name stands in `.env`, which counts above this. */
function editRegistry(
  editor: YamlEditor,
  before: RegistryAnswer | undefined,
  after: RegistryAnswer,
  isInEnv: boolean,
): void {
  const path: KeyPath = ["registries", after.id];
  const { isOn, hostnames, credentials } = after;
  const raw = editor.get(path);
  if (raw === undefined || raw === null) {
    const own = before === undefined ? { serves: after.serves, upstream: after.upstream } : {};
    const username = credentials.kind === "basic" && !isInEnv ? credentials.username : undefined;
    const its = { ...own, enabled: isOn ? undefined : false, hostnames: hostnames.length > 0 ? hostnames : undefined };
    const keys = defined({ ...its, username });
    if (Object.keys(keys).length > 0) editor.set(path, keys, COMMENTS.registries);
    return;
  }
  const put = (key: string, value: unknown) => {
    if (value === undefined) editor.remove([...path, key], COMMENTS.registries);
    else editor.set([...path, key], value, COMMENTS.registries);
  };
  // What is added comes first, so that a mapping is not removed and made anew, without its comments.
  if (!isDeepStrictEqual(before?.hostnames ?? [], hostnames) && hostnames.length > 0) put("hostnames", hostnames);
  if (credentials.kind === "basic" && !isInEnv) put("username", credentials.username);
  if (!isOn) put("enabled", false);
  if (hostnames.length === 0) put("hostnames", undefined);
  if (credentials.kind === "none") put("username", undefined);
  if (credentials.kind !== "kept") for (const key of ["password", "token"]) put(key, undefined);
  if (isOn) put("enabled", undefined);
}

/** What becomes of a registry's variables in `.env`. */
function secretChanges(
  { dotEnv }: Sources,
  before: RegistryAnswer | undefined,
  { id, credentials }: RegistryAnswer,
): [name: string, value: string | undefined][] {
  if (credentials.kind === "kept") return [];
  if (credentials.kind === "none" && (before?.credentials.kind ?? "none") === "none") return [];
  const all = SECRET_KEYS.flatMap((key) => [secretVariable(id, key), `${secretVariable(id, key)}_FILE`]);
  const values = new Map<string, string | undefined>(all.map((name) => [name, undefined]));
  if (credentials.kind === "basic") {
    values.set(secretVariable(id, "password"), credentials.password);
    const username = secretVariable(id, "username");
    if (Object.hasOwn(parseEnv(dotEnv), username)) values.set(username, credentials.username);
  }
  return [...values];
}
