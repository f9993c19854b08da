import { access, constants, open } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { makeFolder } from "./files.ts";

const FILE = "lock.sqlite";
/** SQLite's primary result codes (sqlite.org/rescode.html). */
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;

/** A process's right to be the only one on a data folder. */
export interface DataFolderLock {
  release(): void;
}

/** Another process works on the data folder. Two of them would write into each other's spools. */
export class DataFolderBusyError extends Error {
  override readonly name = "DataFolderBusyError";
  readonly hint = "stop it first, or give this one a folder of its own with `data_dir` or REGISTRY_CACHE_DATA_DIR";

  constructor(dataDir: string, options: ErrorOptions) {
    super(`${dataDir}: another registry-cache is running on this data folder`, options);
  }
}

/** The file system cannot lock, as some network ones. */
export class DataFolderUnlockableError extends Error {
  override readonly name = "DataFolderUnlockableError";
  readonly hint = "put the data folder on a local disk, or on a network file system with locks";

  constructor(dataDir: string, options: ErrorOptions & { readonly reason: string }) {
    super(`${dataDir}: the data folder cannot be locked: ${options.reason}`, options);
  }
}

/**
 * Takes the data folder, which is made where it is missing. Node has no flock, but SQLite's locks are the kernel's too:
 * they end with the process, however it ends, and hold across containers on one host, where process ids mean nothing.
 * Nobody else may open the file in this process: the kernel drops a process's locks when it closes any descriptor of it.
 * Rejects with `DataFolderBusyError`, `DataFolderUnlockableError` or the system's error.
 */
export async function lockDataFolder(dataDir: string): Promise<DataFolderLock> {
  await makeFolder(dataDir);
  const path = join(dataDir, FILE);
  await ensureUsable(path);
  const database = new DatabaseSync(path);
  try {
    // Nothing is written, so that no journal is needed, for which a full disk would have no room.
    database.exec("PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    throw explained(error, dataDir);
  }
  return { release: () => database.close() };
}

/** SQLite says only that it cannot open; the system says why. An existing file is looked at without a descriptor. */
async function ensureUsable(path: string): Promise<void> {
  try {
    await (await open(path, "wx", 0o644)).close();
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    await access(path, constants.R_OK | constants.W_OK);
  }
}

function explained(error: unknown, dataDir: string): unknown {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return error;
  const code = error.errcode & 0xff;
  if (code === SQLITE_BUSY || code === SQLITE_LOCKED) return new DataFolderBusyError(dataDir, { cause: error });
  return new DataFolderUnlockableError(dataDir, { cause: error, reason: error.message });
}
