import { access, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import type { Catalog } from "./catalog/catalog.ts";
import { CatalogError } from "./catalog/errors.ts";
import { IN_MEMORY, openOrRebuild, openSqliteCatalog } from "./catalog/sqlite.ts";
import type { Config } from "./config/config.ts";
import { openFilesystemStore } from "./store/filesystem.ts";
import { type DataFolderLock, lockDataFolder } from "./store/lock.ts";
import type { Store } from "./store/store.ts";

/** What a process has of a data folder that is its own. */
export interface HeldFiles {
  readonly lock: DataFolderLock;
  readonly store: Store;
  readonly catalog: Catalog;
}

/** The lock comes first: what a second process would tidy up at its start is the first one's work under way. */
export async function openHeld(config: Config, log: Logger): Promise<HeldFiles> {
  const lock = await lockDataFolder(config.dataDir);
  try {
    const store = await openFilesystemStore(config);
    return { lock, store, catalog: await openCatalog(config.dataDir, log) };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/**
 * Nothing that serves needs the catalog's file: on a disk too full to open it, facts are kept in memory until the stop. An
 * empty file, for which nearly every full disk has a place, tells the next start that they are missing.
 */
async function openCatalog(dataDir: string, log: Logger): Promise<Catalog> {
  const path = join(dataDir, "catalog.sqlite");
  const missed = `${path}.missed`;
  try {
    const catalog = await openOrRebuild(path, (movedTo, error) =>
      log.warn({ movedTo, reason: error.message }, "the catalog was damaged and is rebuilt from the store"),
    );
    if (!(await isThere(missed))) return catalog;
    await catalog.markInUse();
    await rm(missed);
    return catalog;
  } catch (error) {
    if (!(error instanceof CatalogError) || error.kind !== "full") throw error;
    log.error({ err: error }, "the disk is full: the catalog is kept in memory until the next start");
    await writeFile(missed, "").catch((why: unknown) => log.error({ err: why }, "run `registry-cache reindex` then"));
    return await openSqliteCatalog(IN_MEMORY);
  }
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
