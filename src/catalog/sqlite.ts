import { mkdir, rename, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { Kysely, sql } from "kysely";
import type { Catalog } from "./catalog.ts";
import { CatalogCorruptError } from "./errors.ts";
import { migrate, type SchemaWords } from "./migrations.ts";
import { NodeSqliteDialect } from "./node-sqlite-dialect.ts";
import type { CatalogDb, CatalogSchema } from "./schema.ts";
import { SqlCatalog } from "./sql-catalog.ts";

/** A catalog that lives in memory only. */
export const IN_MEMORY = ":memory:";
/** A larger file is not read through at the start; damage in it shows when it is met. */
export const CHECKED_BYTES_MAX = 128 * 1024 * 1024;
/** The write-ahead log is cut back to this after a checkpoint. */
const LOG_BYTES_MAX = 64 * 1024 * 1024;

/**
 * WAL: readers and the writer do not wait for each other. `normal`: a power cut may take the last transactions, never the
 * file, and `reindex` brings them back from the store, so that no request waits for the disk here.
 */
const PRAGMAS = ["journal_mode = wal", "synchronous = normal", `journal_size_limit = ${LOG_BYTES_MAX}`];

const SQLITE_WORDS: SchemaWords = {
  selfNumbering: (column) => column.primaryKey(),
  inKeyOrder: (table) => table.modifyEnd(sql`without rowid`),
};

export interface SqliteCatalogOptions {
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** How long to wait for another process's lock before an error of kind `busy`. */
  readonly busyWaitMsMax?: number;
}

/**
 * Opens the file, making and migrating it as needed; its folder too. Rejects with a `CatalogError`, of which
 * `CatalogCorruptError` and `CatalogNewerError` are the ones to tell apart.
 */
export async function openSqliteCatalog(path: string, options: SqliteCatalogOptions = {}): Promise<Catalog> {
  const now = options.now ?? Date.now;
  return new SqlCatalog({ ...(await openSqliteDatabase(path, options)), now });
}

/** The connections under `openSqliteCatalog`, for what asks in SQL itself. */
export async function openSqliteDatabase(
  path: string,
  options: SqliteCatalogOptions = {},
): Promise<{ reads: CatalogDb; writes: CatalogDb }> {
  if (path !== IN_MEMORY) await mkdir(dirname(path), { recursive: true });
  const writes = connect(path, PRAGMAS, options);
  // Questions have a connection of their own, so that they need not wait while a long transaction is written.
  const reads = path === IN_MEMORY ? writes : connect(path, [...PRAGMAS, "query_only = true"], options);
  try {
    await migrate(writes, SQLITE_WORDS, (options.now ?? Date.now)());
    // Connections open at their first query; what is wrong shall show here.
    await sql`select 1`.execute(reads);
    return { reads, writes };
  } catch (error) {
    await Promise.all([reads.destroy(), writes.destroy()]);
    throw error;
  }
}

function connect(path: string, pragmas: readonly string[], { busyWaitMsMax }: SqliteCatalogOptions): CatalogDb {
  return new Kysely<CatalogSchema>({ dialect: new NodeSqliteDialect({ path, pragmas, busyWaitMsMax }) });
}

/**
 * As `openSqliteCatalog`, but a damaged file is moved aside (`<path>.broken-<time>`) and an empty catalog opened in its
 * place, for `reindex` to fill. `onBroken` hears where the old one lies.
 */
export async function openOrRebuild(
  path: string,
  onBroken: (movedTo: string, error: CatalogCorruptError) => void,
  options: SqliteCatalogOptions = {},
): Promise<Catalog> {
  try {
    await checkFile(path, options);
    return await openSqliteCatalog(path, options);
  } catch (error) {
    if (!(error instanceof CatalogCorruptError)) throw error;
    const movedTo = await moveAside(path, options.now ?? Date.now);
    onBroken(movedTo, error);
    return await openSqliteCatalog(path, options);
  }
}

/** Reads the whole file through: SQLite itself notices damage only when it comes across it. */
async function checkFile(path: string, options: SqliteCatalogOptions): Promise<void> {
  const size = path === IN_MEMORY ? 0 : await sizeOf(path);
  if (size === 0 || size > CHECKED_BYTES_MAX) return;
  const db = connect(path, [], options);
  try {
    const found = await sql<{ quick_check: string }>`pragma quick_check(1)`.execute(db);
    const verdict = found.rows[0]?.quick_check;
    if (verdict !== "ok") throw new CatalogCorruptError(`the catalog's file is damaged: ${verdict}`);
  } finally {
    await db.destroy();
  }
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(ifMissing))?.size ?? 0;
}

async function moveAside(path: string, now: () => number): Promise<string> {
  const time = new Date(now()).toISOString().replaceAll(/[-:]|\.\d+/g, "");
  const movedTo = `${path}.broken-${time}`;
  // The log and its index belong to the file: beside a new one they would be taken for that one's.
  for (const suffix of ["", "-wal", "-shm"]) await rename(path + suffix, movedTo + suffix).catch(ifMissing);
  return movedTo;
}

function ifMissing(error: unknown): undefined {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
  throw error;
}
