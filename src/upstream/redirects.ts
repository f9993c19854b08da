import { isPublicAddress, literalAddress } from "./addresses.ts";
import { portOf } from "./trust.ts";

/** Registries need up to three (registry.k8s.io, Artifact Registry, its store). */
export const REDIRECTS_MAX = 6;

const REDIRECT_STATUSES: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export interface RedirectPolicy {
  /** The configured upstream. */
  readonly upstream: URL;
  readonly upstreamIsOwn: boolean;
  readonly allowPrivateAddresses: boolean;
}

export type RedirectVerdict =
  | { readonly kind: "follow"; readonly url: URL }
  | { readonly kind: "refuse"; readonly because: "protocol" | "untrusted"; readonly reason: string };

export function isRedirect(status: number): boolean {
  return REDIRECT_STATUSES.has(status);
}

/** Whether a redirect is followed, and to where. `hops` is how many were followed before. */
export function decideRedirect(
  from: URL,
  location: string | undefined,
  hops: number,
  policy: RedirectPolicy,
): RedirectVerdict {
  if (hops >= REDIRECTS_MAX) return refuse("protocol", `more than ${REDIRECTS_MAX} redirects`);
  if (location === undefined || !URL.canParse(location, from.href)) return refuse("protocol", "a redirect to nowhere");
  const url = new URL(location, from);
  url.hash = "";
  if (url.protocol !== "https:" && url.protocol !== "http:") return refuse("untrusted", "a redirect off the web");
  if (url.username !== "" || url.password !== "") return refuse("untrusted", "a redirect with credentials in it");
  if (url.protocol === "http:" && policy.upstream.protocol !== "http:") {
    return refuse("untrusted", `a redirect down to http://${url.host}`);
  }
  if (!mayDial(url, policy)) return refuse("untrusted", `a redirect to the private address ${url.host}`);
  return { kind: "follow", url };
}

/**
 * Whether the URL's host is, as far as its name shows, not a private address. Names are judged again when they have been
 * resolved, see `transport.ts`.
 */
export function mayDial(url: URL, policy: RedirectPolicy): boolean {
  if (policy.allowPrivateAddresses || isOwnUpstream(url.hostname, portOf(url), policy)) return true;
  const address = literalAddress(url.hostname);
  return address === undefined || isPublicAddress(address);
}

/** A user who names an upstream may well mean a private address: that host and port are let through, no others. */
export function isOwnUpstream(hostname: string, port: string, policy: RedirectPolicy): boolean {
  const { upstream, upstreamIsOwn } = policy;
  return upstreamIsOwn && bare(upstream.hostname) === bare(hostname) && portOf(upstream) === port;
}

/** URLs have IPv6 addresses in brackets, sockets have them without. */
function bare(hostname: string): string {
  return literalAddress(hostname) ?? hostname;
}

function refuse(because: "protocol" | "untrusted", reason: string): RedirectVerdict {
  return { kind: "refuse", because, reason };
}
