import { statfs } from "node:fs/promises";
import type { Catalog, Unlisted } from "../catalog/catalog.ts";
import type { Config } from "../config/config.ts";
import type { Holds } from "../pull/holds.ts";
import { packageVersion } from "../lib/version.ts";
import type { Store } from "../store/store.ts";
import type { Evictor } from "../upkeep/evict/evictor.ts";
import type { Pins } from "../upkeep/pins/pins.ts";
import type { Counters } from "./counters/counters.ts";
import { evictingBy, pinBook, type Presences } from "./governing.ts";
import type { ApiParts } from "./api/create.ts";
import type { Room, TagHistory } from "./api/parts.ts";
import { imagesView, type ImagesViewOptions } from "./images/view.ts";

export interface PartsSources extends Pick<
  ApiParts,
  "activity" | "bypassing" | "events" | "isListed" | "log" | "reindexes" | "scrubbing" | "upstreams" | "warming"
> {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly counters: Counters;
  /** What lists leave out for all but admins. */
  readonly except: Unlisted;
  readonly platformOf: ImagesViewOptions["platformOf"];
  readonly holds: Pick<Holds, "digestOf">;
  readonly store: Pick<Store, "partials">;
  readonly pins: Pins;
  readonly presence: Presences;
  /** To be called when pins have changed. */
  readonly onPinned: () => Promise<void>;
  readonly evictor: Evictor;
}

/** Brings what the rooms know into the shapes in which the API tells it. */
export function apiParts(sources: PartsSources): ApiParts {
  const { config, catalog, except, platformOf, holds, pins, presence, evictor, onPinned } = sources;
  const all = imagesView({ catalog, platformOf });
  const listed = imagesView({ catalog, platformOf, except });
  return {
    ...sources,
    version: packageVersion(),
    startedAtMs: Date.now(),
    registries: config.registries,
    images: all,
    settlePulls: async () => await sources.counters.flush(),
    imagesFor: ({ isAdmin }) => (isAdmin ? all : listed),
    room: { now: async () => await roomOf(sources) },
    histories: {
      of: async (repository, tag): Promise<TagHistory> => ({
        sightings: await catalog.tagHistory(repository, tag),
        heldAt: holds.digestOf(repository, tag),
      }),
    },
    pins: pinBook({
      pins,
      registries: config.registries,
      isHeld: async (repository, digest) => (await catalog.manifest(repository, digest)) !== undefined,
      presence,
      onChanged: onPinned,
    }),
    evicting: evictingBy({ evictor, registries: config.registries }),
  };
}

async function roomOf({ config, catalog, store }: PartsSources): Promise<Room> {
  const [held, disk] = await Promise.all([catalog.heldBytes(), diskOf(config)]);
  const ofRegistry = config.registries.map(({ id, maxSizeBytes: maxBytes }) => {
    return [id, { bytes: held.byRegistry.get(id)?.bytes ?? 0, maxBytes }] as const;
  });
  return {
    heldBytes: held.bytes,
    partialBytes: store.partials().bytes,
    maxBytes: config.maxSizeBytes,
    byRegistry: new Map(ofRegistry),
    disk,
  };
}

async function diskOf({ dataDir, minFreeDiskBytes: minFreeBytes }: Config): Promise<Room["disk"]> {
  try {
    const { bavail, blocks, bsize } = await statfs(dataDir);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize, minFreeBytes };
  } catch {
    return undefined;
  }
}
