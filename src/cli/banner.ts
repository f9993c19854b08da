import { isLoopback } from "../lib/loopback.ts";
import { accessThere } from "../access/methods.ts";
import type { Config, RegistryConfig } from "../config/config.ts";
import { proxyText } from "../config/proxy.ts";
import { Networks } from "../lib/networks.ts";

/** What an operator wants to know once everything runs. */
export interface Started {
  /** `http://127.0.0.1:5000` */
  readonly urls: readonly string[];
  /** By which clients reach it, where that was said. */
  readonly url?: string;
  readonly dataDir: string;
  readonly config: string;
  /** Through which upstreams are reached, where there is one. */
  readonly proxy?: string;
  /** The names they serve. */
  readonly registries: readonly string[];
  /** Processes that answer clients; left out where there is one. */
  readonly workers?: number;
  /** What is asked of clients that no command line of theirs can show. */
  readonly asks?: string;
  /** Whether other machines may reach it. */
  readonly beyondLoopback: boolean;
  /** A command that shows that it works. */
  readonly tryIt: string;
}

const CERTIFICATES = "certificates of clients";

/** `connect`: what is typed to set Docker up. */
export function startedOf(config: Config, addresses: readonly string[], connect: string): Started {
  const proxy = proxyText(config.proxy);
  const { url } = config;
  return {
    urls: addresses.map((address, index) => `${schemeAt(config, index)}://${address}`),
    ...(url === undefined ? {} : { url }),
    ...(needsCertificates(config) ? { asks: CERTIFICATES } : {}),
    dataDir: config.dataDir,
    config: config.source ?? "built-in defaults",
    ...(proxy === undefined ? {} : { proxy }),
    registries: config.registries.map(({ serves }) => serves),
    ...(config.workers > 1 ? { workers: config.workers } : {}),
    beyondLoopback: !addresses.every((address) => isLoopback(hostOf(address))),
    tryIt: tryIt(config, addresses, connect),
  };
}

function needsCertificates({ access: { anonymous, htpasswd, mtls } }: Config): boolean {
  return mtls !== undefined && !anonymous && htpasswd === undefined;
}

/** At the address of that position. */
function schemeAt({ tls, acme, listen }: Config, index: number): "http" | "https" {
  const isPlain = listen[index]?.tls === false;
  return isPlain || (tls === undefined && acme === undefined) ? "http" : "https";
}

/**
 * Docker takes plain HTTP and any certificate from loopback addresses only, so elsewhere it is `curl` that needs no set-up, and so it
 * is where nobody comes in by what Docker can be told on a command line. Certificates are for names, and here an address is all that
 * is known. With client certificates Docker has to be set up, and the command that does that says how.
 */
function tryIt(config: Config, addresses: readonly string[], connect: string): string {
  const registry = config.registries.find(({ serves }) => serves === "docker.io") ?? config.registries[0];
  const image = registry?.serves === "docker.io" ? "docker.io/library/alpine" : `${registry?.serves ?? ""}/REPOSITORY`;
  const local = addresses.map(loopbackOf);
  const pull = (address: string | undefined) => `docker pull ${address}/${image}:latest`;
  const open = local.find((address, index) => waysInAt(config, index, address, registry).includes("nameless"));
  if (open !== undefined) return pull(open);
  const asking = local.find((address, index) => waysInAt(config, index, address, registry).includes("password"));
  if (asking !== undefined) return `docker login ${asking} && ${pull(asking)}`;
  if (needsCertificates(config)) return connect;
  const at = Math.max(
    0,
    local.findIndex((address) => address !== undefined),
  );
  const scheme = schemeAt(config, at);
  return `${scheme === "http" ? "curl" : "curl --insecure"} ${scheme}://${local[at] ?? addresses[at] ?? ""}/readyz`;
}

/** How programs of this machine pull from a registry by a loopback address, as far as Docker can do so. */
function waysInAt(
  { access, listen }: Config,
  index: number,
  address: string | undefined,
  registry: RegistryConfig | undefined,
): readonly ("nameless" | "password")[] {
  if (address === undefined || registry === undefined) return [];
  const { config, mayBeOpen } = accessThere(access, listen[index] ?? { methods: undefined });
  const host = hostOf(address).replace("localhost", "127.0.0.1").replaceAll(/[[\]]/g, "");
  if (config.networks.length > 0 && !new Networks(config.networks).includes(host)) return [];
  if (mayBeOpen && (registry.anonymous ?? config.anonymous)) return ["nameless"];
  return config.htpasswd === undefined ? [] : ["password"];
}

/** The address by which this machine's own programs reach the listener; undefined where that is no loopback address. */
function loopbackOf(address: string): string | undefined {
  const host = hostOf(address);
  if (host === "0.0.0.0" || host === "[::]") return `127.0.0.1${address.slice(host.length)}`;
  return isLoopback(host) ? address : undefined;
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

/** What the operator should know although everything runs. */
export function warningsOf(config: Config, { beyondLoopback }: Pick<Started, "beyondLoopback">): string[] {
  if (!beyondLoopback) return [...config.warnings];
  const lacking = config.listen.flatMap(({ host }, index) => {
    // With one address it need not be said which.
    const here = config.listen.length === 1 ? "this address" : `${host}:${config.listen[index]?.port ?? ""}`;
    const isLocal = config.listen.length > 1 && isLoopback(host.includes(":") ? `[${host}]` : host);
    return isLocal ? [] : (lackingAt(config, index, here) ?? []);
  });
  return [...config.warnings, ...new Set(lacking)];
}

/** What does not keep strangers out, or away from secrets. */
function lackingAt(config: Config, index: number, here: string): string | undefined {
  const isPlain = schemeAt(config, index) === "http";
  const { anonymous, networks } = accessThere(config.access, config.listen[index] ?? { methods: undefined }).config;
  const sends = config.registries.some(({ passThrough }) => passThrough);
  if (isPlain && (!anonymous || sends)) return "no TLS: passwords and secret paths can be read on their way here";
  if (!anonymous || networks.length > 0) return undefined;
  return `${isPlain ? "no password and no TLS" : "no password"}: everybody who reaches ${here} can pull`;
}

/** How the banner is painted. */
export interface BannerPaint {
  readonly strong: (text: string) => string;
  readonly quiet: (text: string) => string;
}

const LABEL_WIDTH = 12;

export function banner(started: Started, version: string, { strong, quiet }: BannerPaint): string {
  const row = (label: string, value: string) => `  ${quiet(label.padEnd(LABEL_WIDTH))}${value}\n`;
  const count = started.registries.length;
  return [
    `\n  ${strong("Registry Cache")} ${quiet(version)}\n\n`,
    ...started.urls.map((url, index) => row(index === 0 ? "listens on" : "", strong(url))),
    ...(started.url === undefined ? [] : [row("clients at", strong(started.url))]),
    ...(started.asks === undefined ? [] : [row("asks for", started.asks)]),
    row("keeps data", started.dataDir),
    row("caches", `${count} ${count === 1 ? "registry" : "registries"}: ${rowsOf(started.registries)}`),
    row("settings", started.config),
    ...(started.workers === undefined ? [] : [row("workers", String(started.workers))]),
    ...(started.proxy === undefined ? [] : [row("proxy", started.proxy)]),
    `\n  ${quiet("try it".padEnd(LABEL_WIDTH))}${strong(started.tryIt)}\n`,
    `  ${quiet("stop".padEnd(LABEL_WIDTH))}Ctrl+C\n\n`,
  ].join("");
}

/** So that no line of the banner is wider than a narrow terminal. */
const NAMES_A_ROW = 4;

function rowsOf(names: readonly string[]): string {
  const rows: string[] = [];
  for (let at = 0; at < names.length; at += NAMES_A_ROW) rows.push(names.slice(at, at + NAMES_A_ROW).join(", "));
  return rows.join(`,\n  ${" ".repeat(LABEL_WIDTH)}`);
}
