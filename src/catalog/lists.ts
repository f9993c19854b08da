import { type Repository, repositoryPath } from "../oci/reference.ts";
import type { ListKind, SavedList } from "./catalog.ts";
import type { CatalogDb } from "./schema.ts";

/** Remembered lists, all repositories together; the oldest go first. */
export const LISTS_MAX = 10_000;
/** All bodies together. */
export const LISTS_BYTES_MAX = 256 * 1024 * 1024;
/** A longer body is not remembered: the list is only there for when its upstream is away. */
export const LIST_BYTES_MAX = 8 * 1024 * 1024;

export interface ListLimits {
  readonly listsMax: number;
  readonly bytesMax: number;
}

export async function saveList(
  db: CatalogDb,
  repositoryId: number,
  { kind, key }: { kind: ListKind; key: string },
  list: SavedList,
  limits: ListLimits = { listsMax: LISTS_MAX, bytesMax: LISTS_BYTES_MAX },
): Promise<void> {
  const content = { body: list.body, bytes: Buffer.byteLength(list.body), saved_at_ms: list.atMs };
  await db
    .insertInto("saved_lists")
    .values({ repository_id: repositoryId, kind, key, ...content })
    .onConflict((conflict) => conflict.columns(["repository_id", "kind", "key"]).doUpdateSet(content))
    .execute();
  await dropOldest(db, limits);
}

async function dropOldest(db: CatalogDb, limits: ListLimits): Promise<void> {
  const all = await db
    .selectFrom("saved_lists")
    .select((eb) => [eb.fn.countAll<number>().as("lists"), eb.fn.sum<number | null>("bytes").as("bytes")])
    .executeTakeFirstOrThrow();
  let { lists } = all;
  let bytes = all.bytes ?? 0;
  while (lists > limits.listsMax || bytes > limits.bytesMax) {
    const oldest = await db
      .selectFrom("saved_lists")
      .select(["repository_id", "kind", "key", "bytes"])
      .orderBy("saved_at_ms")
      .orderBy("bytes")
      .limit(1)
      .executeTakeFirst();
    if (oldest === undefined) return;
    await db
      .deleteFrom("saved_lists")
      .where("repository_id", "=", oldest.repository_id)
      .where("kind", "=", oldest.kind)
      .where("key", "=", oldest.key)
      .execute();
    lists -= 1;
    bytes -= oldest.bytes;
  }
}

export async function findList(
  db: CatalogDb,
  repository: Repository,
  kind: ListKind,
  key: string,
): Promise<SavedList | undefined> {
  const row = await db
    .selectFrom("saved_lists as l")
    .innerJoin("repositories as r", "r.id", "l.repository_id")
    .select(["l.body", "l.saved_at_ms"])
    .where("r.path", "=", repositoryPath(repository))
    .where("l.kind", "=", kind)
    .where("l.key", "=", key)
    .executeTakeFirst();
  return row === undefined ? undefined : { body: row.body, atMs: row.saved_at_ms };
}
