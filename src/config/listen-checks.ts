import { isLoopback } from "../lib/loopback.ts";
import { shown } from "../lib/units.ts";
import type { Listen, ListenAddress } from "./config.ts";
import type { Finding } from "./issues.ts";
import type { RegistryDraft } from "./registries.ts";
import type { TlsInput } from "./schema.ts";

/** An address twice in the file: the second one would fail as "in use", by ourselves. Port 0 is another one each time. */
export function checkRepeatedListen(listen: readonly ListenAddress[]): Finding[] {
  return listen.flatMap((address, index) => {
    const isRepeated = listen.slice(0, index).some((earlier) => isSame(earlier, address));
    if (!isRepeated || address.port === 0) return [];
    return [{ path: ["listen", index], message: "is the same as an address before it", hint: "remove one of them" }];
  });
}

function isSame(one: ListenAddress, other: ListenAddress): boolean {
  return one.host === other.host && one.port === other.port;
}

/** By tls-alpn-01 the authority comes in where clients with TLS do. */
export function checkAlpnListen(listen: readonly Listen[], { mode, challenge }: TlsInput): Finding[] {
  if (mode !== "acme" || challenge !== "tls-alpn-01" || listen.some(({ tls }) => tls)) return [];
  const message = "the authority could ask nobody: every address in `listen` has `tls: false`";
  const hint = "remove `tls: false` where port 443 leads to, or write `challenge: http-01`";
  return [{ path: ["tls", "challenge"], message, hint }];
}

/** A certificate that is shown to nobody. */
export function plainWarnings(listen: readonly Listen[], { mode = "off" }: TlsInput): string[] {
  if (mode === "off" || listen.some(({ tls }) => tls)) return [];
  return [`nobody is spoken to with TLS, although tls.mode is ${mode}: every address in \`listen\` has \`tls: false\``];
}

/** A registry whose upstream is this cache would ask itself, which asks itself, until all connections are used up. */
export function checkLoops(drafts: readonly RegistryDraft[], listen: readonly ListenAddress[]): Finding[] {
  return drafts.flatMap(({ id, input: { upstream } }) => {
    if (upstream === undefined || !listen.some((address) => leadsTo(new URL(upstream), address))) return [];
    return [
      {
        path: ["registries", id, "upstream"],
        message: `${shown(upstream)} is where this cache itself listens`,
        hint: "write the address of the registry that is to be cached, or listen on another port",
      },
    ];
  });
}

/** As far as it can be told without asking DNS. */
function leadsTo(upstream: URL, { host, port }: ListenAddress): boolean {
  if (portOf(upstream) !== port) return false;
  const name = upstream.hostname.replace(/^\[(.*)\]$/, "$1");
  if (name === host) return true;
  if (isWildcard(host)) return isLoopback(name);
  return [name, host].includes("localhost") && isLoopback(name) && isLoopback(host);
}

function portOf({ port, protocol }: URL): number {
  if (port !== "") return Number(port);
  return protocol === "https:" ? 443 : 80;
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}
