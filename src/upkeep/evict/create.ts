import { join } from "node:path";
import type { Logger } from "pino";
import type { Catalog } from "../../catalog/catalog.ts";
import type { Config } from "../../config/config.ts";
import type { Repository, Tag } from "../../oci/reference.ts";
import type { Pull } from "../../pull/pull.ts";
import type { Budgets } from "../../pull/room.ts";
import type { Store } from "../../store/store.ts";
import { Pins, PINS_FILE } from "../pins/pins.ts";
import type { Refetch } from "./choose.ts";
import { Evictor, type EvictorOptions } from "./evictor.ts";

export interface EvictingOptions extends Pick<EvictorOptions, "catalogComplete" | "isCatalogWhole" | "onEvicted"> {
  readonly config: Pick<Config, "dataDir" | "maxAgeMs" | "pins" | "registries">;
  readonly catalog: Catalog;
  readonly store: Store;
  readonly pull: Pull;
  /** Whether the registry's upstream can be had just now. */
  readonly isReachable?: ((registryId: string) => boolean) | undefined;
  /** Whether the upstream has one of the tags no more. */
  readonly hasVanished?: ((repository: Repository, tags: readonly Tag[]) => Promise<boolean>) | undefined;
  readonly log: Logger;
}

/** Docker Hub's, whatever the registry is called here: it counts pulls. */
const COUNTING_HOST = "registry-1.docker.io";

/** What keeps budgets, the disk's reserve and ages; it makes room for fills from then on. */
export function createEvicting(options: EvictingOptions): { pins: Pins; evictor: Evictor } {
  const { config, pull, log } = options;
  const path = join(config.dataDir, PINS_FILE);
  const pins = new Pins({ path, configured: config.pins, registries: config.registries, log });
  const evictor = new Evictor({ ...options, pins, maxAgeMs: config.maxAgeMs, refetch: refetchBy(options) });
  pull.room.evictBy(evictor);
  return { pins, evictor };
}

/** What may be held, by the configuration. */
export function budgetsOf({ maxSizeBytes, registries }: Pick<Config, "maxSizeBytes" | "registries">): Budgets {
  const own = registries.flatMap(({ id, maxSizeBytes: bytes }): [string, number][] =>
    bytes === undefined ? [] : [[id, bytes]],
  );
  return { all: maxSizeBytes, byRegistry: new Map(own) };
}

function refetchBy({ config, isReachable, hasVanished }: EvictingOptions): EvictorOptions["refetch"] {
  const configured = new Map(config.registries.map((one) => [one.id, one]));
  return async (repository, tags): Promise<Refetch> => {
    const registry = configured.get(repository.registryId);
    // Of a registry that is switched off nobody can be asked, and nobody asks.
    if (registry === undefined) return "easy";
    if (await hasVanished?.(repository, tags)) return "gone";
    if (isReachable?.(repository.registryId) === false) return "unreachable";
    return new URL(registry.upstream).hostname === COUNTING_HOST ? "counted" : "easy";
  };
}
