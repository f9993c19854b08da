import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import type { Config } from "../config/config.ts";
import { isLoopback } from "../lib/loopback.ts";
import { Networks } from "../lib/networks.ts";
import { LATE, within } from "../lib/wait.ts";
import { hasTls } from "./addresses.ts";
import { type Answered, whoIsAt } from "./ask-us.ts";
import { type Check, type Finding, ok, problem, warning } from "./finding.ts";
import type { Who } from "./who.ts";

const DNS_WITHIN_MS = 5_000;

/** Where a name leads, and who is there. */
export interface Leads {
  readonly name: string;
  readonly addresses: readonly string[];
  /** Those that are this machine's own, or a trusted proxy's. */
  readonly own: readonly string[];
  /** Who answers to the name at the others; undefined where there are none. */
  readonly answered: Answered | undefined;
}

export function hostOfUrl(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, "");
}

/** The names that clients come by, and whether DNS leads them here. */
export function namesCheck(config: Config, own: Who): Check {
  return {
    title: "Names",
    look: async () =>
      await Promise.all(namedPlaces(config).map(async (place) => judgeName(await follow(config, place), own))),
  };
}

interface NamedPlace {
  readonly name: string;
  readonly port: number;
  readonly tls: boolean;
}

function namedPlaces(config: Config): NamedPlace[] {
  const first = config.listen[0];
  const byUrl = config.url === undefined ? undefined : new URL(config.url);
  const tls = byUrl === undefined ? first !== undefined && hasTls(config, first) : byUrl.protocol === "https:";
  const port = byUrl === undefined ? (first?.port ?? 443) : Number(byUrl.port || (tls ? 443 : 80));
  const ofRegistries = config.registries
    .flatMap(({ hostnames }) => hostnames)
    .map((host) => {
      const [, name = host, own] = /^(.*?)(?::(\d+))?$/.exec(host) ?? [];
      return { name, port: own === undefined ? port : Number(own), tls };
    });
  const all = [...(config.url === undefined ? [] : [{ name: hostOfUrl(config.url), port, tls }]), ...ofRegistries];
  return [...new Map(all.filter(({ name }) => isIP(name) === 0).map((place) => [place.name, place])).values()];
}

async function follow({ trustedProxies }: Config, place: NamedPlace): Promise<Leads> {
  const { name } = place;
  const found = await within(
    lookup(name, { all: true }).catch(() => []),
    DNS_WITHIN_MS,
  );
  const addresses = found === LATE ? [] : [...new Set(found.map(({ address }) => address))];
  const proxies = new Networks(trustedProxies);
  const here = ownAddresses();
  const own = addresses.filter((address) => here.has(address) || isLoopback(address) || proxies.includes(address));
  const address = addresses.find((one) => !own.includes(one));
  return { name, addresses, own, answered: address === undefined ? undefined : await whoIsAt({ ...place, address }) };
}

function ownAddresses(): ReadonlySet<string> {
  return new Set(Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address)));
}

/** An address that is not this machine's may be that of a router or a balancer in front of it: whoever answers there tells. */
export function judgeName({ name, addresses, own, answered }: Leads, { data }: Who): Finding {
  if (addresses.length === 0) {
    return problem(`${name} is a name that DNS does not know`, "add it to DNS, or take it out of the configuration");
  }
  const others = addresses.filter((address) => !own.includes(address));
  if (answered === undefined) return ok(`${name} leads here (${addresses.join(", ")})`);
  const there = others.join(", ");
  if (answered.kind === "cache" && answered.who.data === data)
    return ok(`${name} leads to ${there}, where this cache answers`);
  const fix = `let it lead to this machine; a proxy in front of it is named in \`trusted_proxies\``;
  if (answered.kind === "nobody")
    return warning(`${name} leads to ${there}, which is not this machine and does not answer (${answered.code})`, fix);
  if (answered.kind === "older")
    return warning(`${name} leads to ${there}, where what answers is like a cache of another version`, fix);
  const who = answered.kind === "cache" ? "another Registry Cache" : "another program";
  return problem(`${name} leads to ${there}, where ${who} answers`, fix);
}
