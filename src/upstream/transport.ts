import { lookup as resolve } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { getCACertificates } from "node:tls";
import { Agent, type buildConnector as Connector, type Dispatcher, EnvHttpProxyAgent, buildConnector } from "undici";
import type { ProxySettings, UpstreamTimeouts } from "../config/config.ts";
import { isPublicAddress } from "./addresses.ts";
import { PrivateAddressError } from "./faults.ts";

/** How long an unused connection is kept, unless the server says less: below what load balancers usually grant. */
export const KEEP_ALIVE_MS = 15_000;
/** What a server may ask for instead. */
export const KEEP_ALIVE_MAX_MS = 60_000;
/** Signed redirects and cookies of content networks make long headers. */
export const HEADER_BYTES_MAX = 64 * 1024;

export interface TransportOptions {
  readonly timeouts: UpstreamTimeouts;
  /** PEM text of further trusted authorities. */
  readonly ca: string | undefined;
  /** Whether this host and port may resolve to an address that is not public. */
  readonly mayBePrivate: (hostname: string, port: string) => boolean;
  readonly proxy: ProxySettings;
  /** Replaces DNS. */
  readonly lookup?: LookupFunction | undefined;
}

/**
 * The connections of one upstream, of its token service and of the hosts it redirects to: one keep-alive pool for each
 * origin. HTTP/1.1 only, since parallel blobs on one HTTP/2 connection share one congestion window.
 */
export function createTransport(options: TransportOptions): Dispatcher {
  const tls = options.ca === undefined ? {} : { ca: [...getCACertificates("default"), options.ca] };
  const shared = {
    allowH2: false,
    connect: guardedConnector(options, tls),
    connectTimeout: options.timeouts.connectMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
    maxHeaderSize: HEADER_BYTES_MAX,
  };
  const { httpProxy, httpsProxy, noProxy } = options.proxy;
  if (httpProxy === "" && httpsProxy === "") return new Agent(shared);
  // Through a proxy it is the proxy that resolves names, so only literal private addresses can be refused (`redirects.ts`).
  // The proxy itself usually has a private address; the connector above guards only what `NO_PROXY` sends directly.
  // Loopback is never the proxy's to reach, as in Go's and so in most registry clients.
  const direct = `${noProxy},localhost,127.0.0.1,[::1]`;
  return new EnvHttpProxyAgent({ ...shared, httpProxy, httpsProxy, noProxy: direct, requestTls: tls });
}

/**
 * Literal addresses need no resolution, `request.ts` has judged them. This judges names after resolution and connects to those
 * very addresses, so that DNS cannot answer twice differently.
 */
function guardedConnector(options: TransportOptions, tls: { ca?: string[] }): Connector.connector {
  const lookup = options.lookup ?? resolve;
  const common = { ...tls, allowH2: false, timeout: options.timeouts.connectMs };
  const open = buildConnector({ ...common, lookup });
  const guarded = buildConnector({ ...common, lookup: publicOnly(lookup) });
  return (target, callback) => {
    if (options.mayBePrivate(target.hostname, dialledPort(target))) return open(target, callback);
    return guarded(target, callback);
  };
}

function dialledPort(target: Connector.Options): string {
  if (target.port !== "") return target.port;
  return target.protocol === "https:" ? "443" : "80";
}

/** Leaves out what is not public; a name with nothing else fails. */
export function publicOnly(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found, family) => {
      if (error !== null) return callback(error, "");
      const all = typeof found === "string" ? [{ address: found, family: family ?? isIP(found) }] : found;
      const allowed = all.filter(({ address }) => isPublicAddress(address));
      const [first] = allowed;
      if (first === undefined) return callback(new PrivateAddressError(`${hostname} has no public address`), "");
      return options.all === true ? callback(null, allowed) : callback(null, first.address, first.family);
    });
  };
}
