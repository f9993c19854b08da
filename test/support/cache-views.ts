import { type CacheView, type ServedRegistry, type Way } from "../../src/connect/view.ts";

/** Of no real authority; it only looks like one. */
export const AUTHORITY = "-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n";

export function served(serves: string, differs: Partial<ServedRegistry> = {}): ServedRegistry {
  return { id: serves.replaceAll(/\W/g, "-"), serves, hostnames: [], passThrough: false, ...differs };
}

/** A cache with three registries, one name for all of them, TLS that every host trusts, and nobody to keep out. */
export function cacheView(differs: Partial<CacheView> = {}): CacheView {
  return {
    url: "https://cache.example.com",
    isForAll: true,
    registries: [served("docker.io"), served("ghcr.io"), served("registry.corp.example:5000")],
    defaultServes: "docker.io",
    ways: ["anonymous"],
    ca: undefined,
    ...differs,
  };
}

const named = (name: string, serves: string) => served(serves, { hostnames: [`${name}.cache.example.com`] });

const only = (...ways: Way[]): Partial<CacheView> => ({ ways });

/** What caches are like, by what it means for clients. */
export const VIEWS = {
  "plain HTTP on loopback": cacheView({ url: "http://127.0.0.1:5000" }),
  "plain HTTP in a network": cacheView({ url: "http://10.0.0.5:5000" }),
  "TLS that everybody trusts": cacheView(),
  "TLS of a private authority": cacheView({ url: "https://cache.example.com:8443", ca: AUTHORITY }),
  "client certificates": cacheView({ ...only("mtls"), ca: AUTHORITY }),
  passwords: cacheView({ ...only("basic"), ca: AUTHORITY }),
  "passwords or client certificates": cacheView(only("basic", "mtls")),
  "a secret path": cacheView(only("path")),
  "a name for each registry": cacheView({
    url: "https://hub.cache.example.com",
    isForAll: false,
    registries: [named("hub", "docker.io"), named("ghcr", "ghcr.io"), served("quay.io")],
  }),
  "another default registry, credentials that are passed through": cacheView({
    registries: [served("docker.io"), { ...named("ghcr", "ghcr.io"), passThrough: true }],
    defaultServes: "ghcr.io",
  }),
  "an IPv6 address": cacheView({ url: "http://[fd00::5]:5000" }),
} satisfies Readonly<Record<string, CacheView>>;
