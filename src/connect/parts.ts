import type { ConnectOptions, Refusal, Step } from "./client.ts";
import { type CacheView, hostOf, isLoopback, isSecure, prefixOf, reachable, type ServedRegistry } from "./view.ts";

export const HUB = "docker.io";

/** The registries that somebody wants, as far as they can be reached. */
export function chosen(view: CacheView, { only }: ConnectOptions): readonly ServedRegistry[] {
  return reachable(view).filter(({ serves }) => only === undefined || only.includes(serves));
}

/** A registry, and where it is found by a client that puts a path before a repository's name. */
export interface Prefixed {
  readonly serves: string;
  readonly location: string;
}

export function prefixed(view: CacheView, options: ConnectOptions): readonly Prefixed[] {
  return chosen(view, options).flatMap((registry) => {
    const location = prefixOf(view, registry);
    // In a reference a port stands behind the first name alone.
    return /\/.*:/.test(location) ? [] : [{ serves: registry.serves, location }];
  });
}

/** Of what is left out there. */
export function unreachableNotes(view: CacheView, options: ConnectOptions): string[] {
  const there = new Set(prefixed(view, options).map(({ serves }) => serves));
  return chosen(view, options)
    .filter(({ serves }) => !there.has(serves))
    .map(
      ({ serves }) =>
        `${serves} has a port, so that it can be no path: give it a host name of its own (hostnames in the cache's configuration).`,
    );
}

/** What to try: an image that everybody may have, if it is pulled by the cache at all. */
export function imageOf(view: CacheView, options: ConnectOptions): string {
  const all = chosen(view, options);
  const other = all.some(({ serves }) => serves === HUB) ? undefined : all[0];
  return other === undefined ? `${HUB}/library/alpine:latest` : `${other.serves}/org/app:1`;
}

/** The cache's names in references, without what stands behind them. */
export function hostsIn(locations: readonly Prefixed[]): readonly string[] {
  return [...new Set(locations.map(({ location }) => location.split("/")[0] ?? ""))];
}

/** A reference to pull by the cache's own name; the cache's address where it has nothing to pull. */
export function exampleOf(view: CacheView, options: ConnectOptions, image = "org/app:1"): string {
  const all = prefixed(view, options);
  const { location } = all.find(({ serves }) => serves !== HUB) ?? all[0] ?? { location: hostOf(view) };
  return `${location}/${image}`;
}

/** The same for an image that is there for everybody. */
export function alpineOf(view: CacheView, options: ConnectOptions): string {
  const hub = prefixed(view, options).find(({ serves }) => serves === HUB);
  return hub === undefined ? exampleOf(view, options) : `${hub.location}/library/alpine:latest`;
}

/** Names of the three files in a folder; clients insist on them. */
export interface PemNames {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** As Docker, Podman and their likes want them. A `ca.cert` would be taken for a client's certificate. */
export const PEM_NAMES: PemNames = { ca: "ca.crt", cert: "client.cert", key: "client.key" };

/** The authority, and this client's own certificate, where TLS needs them. */
export function pemSteps(view: CacheView, folder: string, { ca, cert, key }: PemNames = PEM_NAMES): Step[] {
  return [
    ...(view.ca === undefined ? [] : [{ kind: "own", path: `${folder}/${ca}`, text: view.ca } as const]),
    ...(hasClientCertificates(view)
      ? ([
          { kind: "client-cert", path: `${folder}/${cert}` },
          { kind: "client-key", path: `${folder}/${key}` },
        ] as const)
      : []),
  ];
}

export function hasClientCertificates(view: CacheView): boolean {
  return isSecure(view) && view.ways.includes("mtls");
}

/** Settings that may have a password in them are their owner's alone. */
export function modeOf({ ways }: CacheView): "0600" | "0644" {
  return ways.includes("basic") || ways.includes("path") ? "0600" : "0644";
}

/** Where clients run in containers or machines of their own. */
export function loopbackRefusal(view: CacheView, where: string): Refusal | undefined {
  if (!isLoopback(view)) return undefined;
  return {
    why: `${view.url} means ${where} itself there`,
    hint: "let the cache listen on an address that can be reached from there too, and say it in the configuration (listen, url)",
  };
}

/** For clients that have no other way than to ask the registry itself. */
export function fallbackNotes({ fallback }: ConnectOptions, who: string): string[] {
  return fallback
    ? []
    : [`${who} cannot be told to ask nobody else: where the cache refuses or fails, it goes to the registry itself.`];
}

/** What every client must be told that knows registries by their names alone. */
export function oneByOneNotes(view: CacheView, options: ConnectOptions): string[] {
  return [
    "Registries are named one by one: write this again when the cache serves further ones.",
    ...unreachableNotes(view, options),
  ];
}
