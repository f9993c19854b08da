import type { Logger } from "pino";
import type { Catalog } from "./catalog/catalog.ts";
import type { Config } from "./config/config.ts";
import type { Store } from "./store/store.ts";
import { reindex } from "./upkeep/reindex.ts";

export interface Rebuild {
  readonly config: Config;
  readonly store: Store;
  readonly catalog: Catalog;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/**
 * False where the catalog lacks what the store has: it may be deleted at any time, and whoever was killed, or met a full
 * disk, could not tell it of everything.
 */
export async function markedInUse(catalog: Catalog, log: Logger): Promise<boolean> {
  try {
    const wasLeftInUse = await catalog.markInUse();
    return !wasLeftInUse && !(await catalog.isEmpty());
  } catch (error) {
    log.error({ err: error }, "the catalog cannot be written; pulls work without it, statistics do not");
    return false;
  }
}

/** Only a catalog that was told of everything may be taken for whole by the next start. */
export async function markLeft(catalog: Catalog, isWhole: boolean, log: Logger): Promise<void> {
  try {
    if (isWhole) await catalog.markSettled();
    else await catalog.markInUse();
  } catch (error) {
    log.error({ err: error }, "the catalog could not be marked; `registry-cache reindex` brings it up to date");
  }
}

/** Fills the catalog from the store while we already serve. True where it was brought to its end. */
export async function rebuild({ config, store, catalog, log, signal }: Rebuild): Promise<boolean> {
  try {
    if (!(await hasRepositories(store)) && (await catalog.isEmpty())) return true;
    const report = await reindex(store, catalog, config.registries, log, signal);
    log.info({ ...report, problems: report.problemCount }, "the catalog was rebuilt from the store");
    return true;
  } catch (error) {
    // The next start goes on where this one was stopped.
    if (!signal.aborted) {
      log.error({ err: error }, "the catalog could not be rebuilt; pulls work without it, statistics do not");
    }
    return false;
  }
}

async function hasRepositories(store: Store): Promise<boolean> {
  for await (const _ of store.repositories()) return true;
  return false;
}
