import { UpstreamError } from "./upstream.ts";

/** Where a registry's tokens may be asked for. */
export interface RealmPolicy {
  readonly upstream: URL;
  /** `auth.docker.io`, `*.pkg.dev` (one label or more in place of the star), either with a port if only that one counts. */
  readonly realms: readonly string[];
}

/**
 * Checks the realm that a challenge names, and returns it as a URL. Credentials, and token requests altogether, go to the
 * upstream's own host and to the realms on the registry's list, nowhere else: whoever can answer in a registry's stead
 * could otherwise have them sent anywhere (CVE-2026-33540). The port does not matter on a listed or own host, since
 * self-hosted token services commonly sit beside their registry; the scheme does.
 *
 * @throws UpstreamError `protocol` where it is no URL, `untrusted` where it is none of ours.
 */
export function trustedRealm(realm: string, challenger: URL, policy: RealmPolicy): URL {
  const url = URL.canParse(realm, challenger.href) ? new URL(realm, challenger) : undefined;
  if (url === undefined) throw new UpstreamError("protocol", `${challenger.host} names a realm that is no URL`);
  if (!hasTrustedScheme(url, policy.upstream) || url.username !== "" || url.password !== "") {
    throw new UpstreamError(
      "untrusted",
      `${challenger.host} asks for a token from ${originOf(url)}, refused for its form`,
    );
  }
  if (!isTrustedHost(url, policy)) {
    throw new UpstreamError(
      "untrusted",
      `${challenger.host} asks for a token from ${originOf(url)}, which is not among this registry's realms`,
    );
  }
  url.hash = "";
  return url;
}

function hasTrustedScheme(url: URL, upstream: URL): boolean {
  return url.protocol === "https:" || (url.protocol === "http:" && upstream.protocol === "http:");
}

function isTrustedHost(url: URL, policy: RealmPolicy): boolean {
  return url.hostname === policy.upstream.hostname || policy.realms.some((pattern) => matchesHost(pattern, url));
}

/** `*.example.com` stands for every subdomain and not for `example.com` itself. */
export function matchesHost(pattern: string, url: URL): boolean {
  const [, name = "", port] = /^(.+?)(?::(\d+))?$/.exec(pattern.toLowerCase()) ?? [];
  if (port !== undefined && port !== portOf(url)) return false;
  if (!name.startsWith("*.")) return url.hostname === name;
  const suffix = name.slice(1);
  return suffix.length > 1 && url.hostname.endsWith(suffix) && url.hostname.length > suffix.length;
}

/** The port that is dialled, also where it is the scheme's own. */
export function portOf(url: URL): string {
  if (url.port !== "") return url.port;
  return url.protocol === "https:" ? "443" : "80";
}

/** For messages: `origin` is "null" for schemes that are not the web's. */
function originOf(url: URL): string {
  return `${url.protocol}//${url.host}`;
}
