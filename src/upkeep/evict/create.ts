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
  /** How a registry's upstream is doing; undefined where there is none. */
  readonly upstreamOf?: ((registryId: string) => UpstreamFacts | undefined) | undefined;
  readonly log: Logger;
}

export interface UpstreamFacts {
  /** Just now. */
  readonly isReachable: boolean;
  /** By what its answers say. */
  readonly countsPulls: boolean;
}

/** Of an image; one of them that is there still is enough to have it again. */
const TAGS_ASKED_MAX = 20;

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

function refetchBy({ config, catalog, upstreamOf }: EvictingOptions): EvictorOptions["refetch"] {
  const configured = new Set(config.registries.map(({ id }) => id));
  return async (repository, tags): Promise<Refetch> => {
    // Of a registry that is switched off nobody can be asked, and nobody asks.
    if (!configured.has(repository.registryId)) return "easy";
    if (await haveVanished(catalog, repository, tags)) return "gone";
    const upstream = upstreamOf?.(repository.registryId);
    if (upstream?.isReachable === false) return "unreachable";
    return upstream?.countsPulls === true ? "counted" : "easy";
  };
}

/** Whether the upstream has none of the tags any more. */
async function haveVanished(
  catalog: Pick<Catalog, "tag">,
  repository: Repository,
  tags: readonly Tag[],
): Promise<boolean> {
  for (const tag of tags.slice(0, TAGS_ASKED_MAX)) {
    if ((await catalog.tag(repository, tag))?.vanishedAtMs === undefined) return false;
  }
  return tags.length > 0;
}
