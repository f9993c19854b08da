import { isIPv6 } from "node:net";
import { accessThere, waysIn } from "../access/methods.ts";
import { readCertificate } from "../config/certificates.ts";
import type { Config, Listen } from "../config/config.ts";
import { describe } from "./describe.ts";
import { type CacheView, isLoopback } from "./view.ts";

export interface ConfiguredView {
  readonly view: CacheView;
  /** Whether that address means something on the cache's own machine alone. */
  readonly isLocal: boolean;
}

/** The cache as its configuration has it: at `url`, or at the first address that it listens on, by a name of its certificate. */
export function configuredView(config: Config): ConfiguredView {
  const listen = listenFor(config);
  const origin = config.url ?? originAt(config, listen);
  const view = describe(config, origin, waysIn(accessThere(config.access, listen)));
  return { view, isLocal: isLoopback(view) };
}

function listenFor({ listen, url }: Config): Listen {
  const port = url === undefined ? undefined : portOf(url);
  const found = listen.find((one) => one.port === port) ?? listen[0];
  if (found === undefined) throw new Error("a cache listens somewhere");
  return found;
}

function portOf(url: string): number {
  const { port, protocol } = new URL(url);
  if (port !== "") return Number(port);
  return protocol === "https:" ? 443 : 80;
}

function originAt(config: Config, { host, port, tls }: Listen): string {
  const hasTls = tls && (config.tls !== undefined || config.acme !== undefined);
  const name = (hasTls ? certificateName(config, host) : undefined) ?? (isEverywhere(host) ? "127.0.0.1" : host);
  return new URL(`${hasTls ? "https" : "http"}://${isIPv6(name) ? `[${name}]` : name}:${port}`).origin;
}

function isEverywhere(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

/** The first name that clients may have for it, which is no single registry's, nor of this machine alone, where there is such a one. */
function certificateName({ acme, tls, registries }: Config, host: string): string | undefined {
  const names = acme?.names ?? namesOf(tls?.cert);
  const ofOne = new Set(registries.flatMap(({ hostnames }) => hostnames));
  const ofAll = names.filter((name) => !ofOne.has(name));
  const isLocal = (name: string) => OF_THIS_MACHINE.test(name);
  return ofAll.find((name) => isLocal(name) === isLocal(host)) ?? ofAll[0] ?? names[0];
}

const OF_THIS_MACHINE = /^(?:localhost|127\..*|::1|0:0:0:0:0:0:0:1)$/;

function namesOf(pem: string | undefined): string[] {
  const text = pem === undefined ? undefined : readCertificate(pem)?.subjectAltName;
  const names = (kind: string) => [...(text ?? "").matchAll(new RegExp(`${kind}:([^,\\s*]+)(?:,|$)`, "g"))];
  // An address is better than none, for a cache that listens on all of them.
  return [...names("DNS"), ...names("IP Address")].flatMap(([, name]) => name ?? []);
}
