import { type Endpoint, parseApiPath } from "../oci/route.ts";
import type { Exchange } from "./exchange.ts";
import type { FoundRegistry, RegistryTable } from "./find-registry.ts";

/** What a request of the registry API is about. */
export interface Asked {
  readonly endpoint: Endpoint;
  readonly found: FoundRegistry;
}

export function isApiPath(path: string): boolean {
  return /^(?:\/[^/]+)?\/v2(?:\/|$)/.test(path);
}

/** Undefined for a path that is not of the registry API. Rejects with `RegistryError` what cannot be understood. */
export function askedOf(exchange: Exchange, registries: RegistryTable): Asked | undefined {
  const path = parseApiPath(exchange.path);
  if (path === undefined) return undefined;
  const hints = {
    host: exchange.req.headers.host,
    prefix: path.prefix,
    name: path.name,
    ns: exchange.query.getAll("ns"),
  };
  return { endpoint: path.endpoint, found: registries.find(hints) };
}
