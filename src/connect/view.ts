import type { Way } from "../access/methods.ts";
import { isLoopback as isLoopbackHost } from "../lib/loopback.ts";
import { isIPv6 } from "node:net";

export type { Way };

/** A registry, as clients see it. */
export interface ServedRegistry {
  readonly id: string;
  /** The name that images carry. */
  readonly serves: string;
  /** Host names that mean this registry. */
  readonly hostnames: readonly string[];
  /** Whether clients' own credentials are for its upstream, so that its host name is the only way to it. */
  readonly passThrough: boolean;
}

/** All that client set-up must know of a running cache; `GET /connect` answers it as JSON. No secret is in it. */
export interface CacheView {
  /** `https://cache.example.com:5000`: the origin by which the cache is reached. */
  readonly url: string;
  /** Whether every registry is found there, by path or `ns`; otherwise it is one registry's own name. */
  readonly isForAll: boolean;
  readonly registries: readonly ServedRegistry[];
  /** What a request means that names no registry. */
  readonly defaultServes: string;
  /** How clients come in there, any of which is enough. */
  readonly ways: readonly Way[];
  /** PEM text of the authority that clients need to be told of; undefined where their systems trust the certificate. */
  readonly ca: string | undefined;
}

export function isSecure({ url }: CacheView): boolean {
  return url.startsWith("https:");
}

/** `cache.example.com:5000`, as it stands in references and in names of folders. */
export function hostOf({ url }: CacheView): string {
  return new URL(url).host;
}

/** Docker takes plain HTTP, and any certificate, from there. */
export function isLoopback(view: CacheView): boolean {
  return isLoopbackHost(new URL(view.url).hostname);
}

/** The origin of a registry's own host name; undefined where it has none. */
export function ownUrl({ url }: CacheView, { hostnames }: ServedRegistry): string | undefined {
  const [name] = hostnames;
  if (name === undefined) return undefined;
  const { protocol, port } = new URL(url);
  // A configured name may have a port of its own.
  const host = isIPv6(name) ? `[${name}]` : name;
  const hasPort = !isIPv6(name) && /:\d+$/.test(name);
  return `${protocol}//${host}${port === "" || hasPort ? "" : `:${port}`}`;
}

export function servedBy({ registries }: CacheView, serves: string): ServedRegistry | undefined {
  return registries.find((registry) => registry.serves === serves);
}

/** Where a registry is found by clients that put a path before a repository's name: `cache.example.com/ghcr.io`. */
export function prefixOf(view: CacheView, registry: ServedRegistry): string {
  const own = ownUrl(view, registry);
  const isBetter = registry.passThrough || !view.isForAll || registry.serves.includes(":");
  if (own !== undefined && isBetter) return new URL(own).host;
  return `${hostOf(view)}/${registry.serves}`;
}

/** Registries that can be reached: by the name for all, or by their own. */
export function reachable(view: CacheView): readonly ServedRegistry[] {
  return view.registries.filter((registry) => view.isForAll || registry.hostnames.length > 0);
}
