import { readFileSync } from "node:fs";
import { packageVersion } from "../lib/version.ts";
import type { Client, ConnectOptions, Setup, Snippet, Step, Variant } from "./client.ts";
import { quoted } from "./sh-word.ts";
import type { CacheView, Way } from "./view.ts";

/** What is known of whoever asks, so that it need not be given on the host again. Secrets. */
export interface KnownSecrets {
  readonly user?: string;
  readonly password?: string;
  /** PEM texts. */
  readonly clientCert?: string;
  readonly clientKey?: string;
  /** Of a secret path. */
  readonly pathToken?: string;
}

/**
 * The POSIX sh script that sets a client up for a cache. Nothing runs before its last line: what was cut off on its way does nothing.
 * No secret is in it but those that are given here.
 */
export function setupScript(
  client: Client,
  view: CacheView,
  options: ConnectOptions,
  secrets: KnownSecrets = {},
): string {
  const variants = client.variants(view, options);
  return [
    "#!/bin/sh",
    `# Points ${client.title} at the cache ${view.url}. Written by registry-cache ${packageVersion()}; sh FILE --help says what it can do.`,
    "# shellcheck disable=SC2034 # each client uses a part of this",
    "set -eu",
    "",
    `client=${quoted(client.name)}`,
    `client_title=${quoted(client.title)}`,
    `scope=${client.scope}`,
    `cache_url=${quoted(view.url)}`,
    `variants=${quoted(variants.length === 1 ? "" : variants.map(({ name }) => name).join(" "))}`,
    "restart_command=''",
    "restart_only_for=''",
    "restart_note=''",
    "merge_hint=''",
    ...assignments(secrets),
    "",
    ...PARTS.map(part),
    detection(client, variants),
    plan(variants, view),
    notes(variants, view),
    // In braces, so that of a last line that was cut off nothing runs.
    '{ main "$@"; }',
    "",
  ].join("\n");
}

/** In this order, which matters to readers alone. */
const PARTS = ["options", "secrets", "files", "toml", "json", "write", "clients", "main"] as const;

/** Beside this file, as a source and in the bundle. */
function part(name: (typeof PARTS)[number]): string {
  return readFileSync(new URL(`sh/${name}.sh`, import.meta.url), "utf8");
}

/** Secrets may look like what ShellCheck warns of. */
const ANYTHING = "# shellcheck disable=SC2016,SC1003";

/** Lines of sh. */
export function assignments({ user, password, clientCert, clientKey, pathToken }: KnownSecrets): string[] {
  const all = {
    REGISTRY_CACHE_USER: user,
    REGISTRY_CACHE_PASSWORD: password,
    REGISTRY_CACHE_CLIENT_CERT_PEM: clientCert,
    REGISTRY_CACHE_CLIENT_KEY_PEM: clientKey,
    REGISTRY_CACHE_PATH_TOKEN: pathToken,
  };
  return Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : [ANYTHING, `${name}=${quoted(value)}`],
  );
}

function detection({ detect }: Client, variants: readonly Variant[]): string {
  const [first] = variants;
  return [
    "detect() {",
    "  found=",
    `  ${detect}`,
    `  if [ -z "$variant" ]; then variant=$found; fi`,
    ...(variants.length === 1
      ? []
      : [
          `  if [ -z "$variant" ]; then note "(which of $variants this is was not found out: --variant says so)" >&2; fi`,
        ]),
    `  if [ -z "$variant" ]; then variant=${quoted(first?.name ?? "")}; fi`,
    "}",
    "",
  ].join("\n");
}

function plan(variants: readonly Variant[], view: CacheView): string {
  return [
    "plan() {",
    "  case $variant in",
    ...variants.flatMap(({ name, setup }) => [`    ${name})`, ...stepsOf(setup, view), "      ;;"]),
    `    *) fail "there is no variant $variant" "one of: $variants" ;;`,
    "  esac",
    "}",
    "",
  ].join("\n");
}

function stepsOf(setup: Setup, view: CacheView): string[] {
  const refusal = refusalOf(setup, view);
  if (refusal !== undefined) return [`      fail ${quoted(refusal.why)} ${quoted(refusal.hint)}`];
  const wants = waysOf(setup, view);
  const { restart } = setup;
  return [
    ...(wants.length === 0 ? [] : [`      wants ${wants.join(" ")}`]),
    ...setup.steps.map(stepText),
    ...(restart === undefined
      ? []
      : [
          `      restart_command=$(service_command ${restart.verb} ${restart.service})`,
          ...(restart.onlyFor === undefined
            ? []
            : [`      restart_only_for=$(printf '%s\\n' ${quoted(restart.onlyFor)} | filled)`]),
        ]),
  ];
}

/** By what this client may come in to this cache; none where nothing has to be given for it. */
function waysOf({ ways, login }: Setup, view: CacheView): Way[] {
  const both = ways.filter((way) => view.ways.includes(way));
  return both.includes("anonymous") || (login !== undefined && both.includes("basic")) ? [] : both;
}

function refusalOf(setup: Setup, view: CacheView): Setup["refusal"] {
  if (setup.refusal !== undefined) return setup.refusal;
  if (setup.ways.some((way) => view.ways.includes(way))) return undefined;
  const names: Record<Way, string> = {
    anonymous: "anybody",
    basic: "a password",
    mtls: "a client certificate",
    path: "a secret path",
  };
  const list = (ways: readonly Way[]) => (ways.length === 0 ? "nobody" : ways.map((way) => names[way]).join(" or "));
  return {
    why: `this client cannot come in to this cache, which wants ${list(view.ways)}`,
    hint: `let it come in by ${list(setup.ways.filter((way) => way !== "anonymous"))}, or by its network (access in the cache's configuration)`,
  };
}

function stepText(step: Step): string {
  switch (step.kind) {
    case "own":
      return `      own ${quoted(step.path)} ${step.mode ?? "0644"} <<'${END}'\n${body(step.text)}${END}`;
    case "block":
      return `      block ${quoted(step.path)} <<'${END}'\n${body(step.text)}${END}`;
    case "client-cert":
      return `      own_cert ${quoted(step.path)}`;
    case "client-key":
      return `      own_key ${quoted(step.path)}`;
    case "json-list":
      return `      json_list ${quoted(step.path)} ${quoted(step.key)} ${quoted(step.value)}`;
    case "sh":
      return `      ${step.line}`;
  }
}

const END = "END_OF_TEXT";

/** No line of a text may end it. */
function body(text: string): string {
  const whole = text.endsWith("\n") ? text : `${text}\n`;
  if (whole.split("\n").includes(END)) throw new Error(`a text has a line ${END}`);
  return whole;
}

function notes(variants: readonly Variant[], view: CacheView): string {
  return [
    "notes() {",
    "  case $variant in",
    ...variants.flatMap(({ name, setup }) => [
      `    ${name})`,
      `      cat <<'${END}'`,
      `${body(notesText(setup, view))}${END}`,
      "      ;;",
    ]),
    "  esac",
    "}",
    "",
  ].join("\n");
}

/** What is said after the files. */
function notesText({ snippets = [], notes: said, login, tryIt }: Setup, { ways }: CacheView): string {
  const logsIn = login !== undefined && ways.includes("basic") && !ways.includes("anonymous");
  return [
    ...snippets.map(snippetText),
    ...said,
    ...(logsIn ? [`each user then types:   ${login}`] : []),
    `try it:   ${tryIt}`,
  ].join("\n");
}

function snippetText({ title, text, isForMtls }: Snippet): string {
  const whole = `# ${title}\n${text.trimEnd()}\n`;
  return isForMtls === true ? whole.replaceAll(/^/gm, "@mtls?") : whole;
}
