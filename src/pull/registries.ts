import type { RegistryConfig } from "../config/config.ts";
import type { Repository } from "../oci/reference.ts";
import type { Upstream } from "../upstream/upstream.ts";
import { TagPolicies } from "./freshness.ts";

/** A configured registry, ready to be pulled from. */
export interface PullRegistry {
  readonly config: RegistryConfig;
  readonly upstream: Upstream;
  readonly tagPolicies: TagPolicies;
  /** Other registries in front of the very same upstream (lscr.io and ghcr.io): what one has, the other has. */
  readonly aliases: readonly RegistryConfig[];
}

export type PullRegistries = ReadonlyMap<string, PullRegistry>;

export function pullRegistries(
  configs: readonly RegistryConfig[],
  upstreams: ReadonlyMap<string, Upstream>,
  compile: (glob: string) => (tag: string) => boolean,
): PullRegistries {
  const entries = configs.map((config): [string, PullRegistry] => {
    const upstream = upstreams.get(config.id);
    if (upstream === undefined) throw new Error(`no upstream was built for registry ${config.id}`);
    // A place is shared exactly where origin and credentials are the same.
    const aliases = configs.filter(
      (other) => other.id !== config.id && upstreams.get(other.id)?.place === upstream.place,
    );
    return [config.id, { config, upstream, tagPolicies: new TagPolicies(config.tags, compile), aliases }];
  });
  return new Map(entries);
}

/** The registry that a repository was routed to; routing only ever yields configured ones. */
export function registryOf(registries: PullRegistries, repository: Repository): PullRegistry {
  const registry = registries.get(repository.registryId);
  if (registry === undefined) throw new Error(`registry ${repository.registryId} is not configured`);
  return registry;
}
