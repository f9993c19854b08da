import { join } from "node:path";
import type { Logger } from "pino";
import type { Catalog } from "../../catalog/catalog.ts";
import type { Config } from "../../config/config.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Pull } from "../../pull/pull.ts";
import type { Store } from "../../store/store.ts";
import { Reindexing } from "../reindexing.ts";
import { SCRUB_FILE } from "./place.ts";
import { Scrubber } from "./scrubber.ts";

export interface ScrubbingOptions {
  readonly config: Pick<Config, "dataDir" | "registries">;
  readonly store: Store;
  readonly catalog: Catalog;
  readonly pull: Pick<Pull, "departures" | "mending">;
  /** Settles when the catalog is not being rebuilt since the start. */
  readonly catalogComplete: () => Promise<unknown>;
  readonly onDamaged: (digest: Digest, isHealed: boolean) => void;
  readonly log: Logger;
}

/** What looks at all that is stored when somebody asks for it: hashing it, and telling the catalog of it. */
export interface StoreChecks {
  readonly scrubber: Scrubber;
  readonly reindexing: Reindexing;
  idle(): Promise<void>;
  stop(): Promise<void>;
}

export function createStoreChecks(options: ScrubbingOptions): StoreChecks {
  const { config, pull } = options;
  const { registries, dataDir } = config;
  const { mending, departures } = pull;
  const scrubber = new Scrubber({ ...options, registries, mending, path: join(dataDir, SCRUB_FILE) });
  const hold = async (path: string) => await departures.keepOut(path);
  const reindexing = new Reindexing({ ...options, registries, hold });
  return {
    scrubber,
    reindexing,
    idle: async () => void (await Promise.all([scrubber.idle(), reindexing.idle()])),
    stop: async () => void (await Promise.all([scrubber.close(), reindexing.close()])),
  };
}
