import { repositoryPath } from "../oci/reference.ts";
import { inBatches } from "./batches.ts";
import type { HeldSnapshot } from "./catalog.ts";
import { dropRecordedBefore } from "./drop.ts";
import { holdBlobs, rebuildManifest } from "./manifests.ts";
import { replaceTags } from "./replace-tags.ts";
import { repositoryIdOf } from "./repositories.ts";
import type { CatalogDb } from "./schema.ts";

/** Manifests written before other work gets its turn. */
const MANIFESTS_PER_BATCH = 50;
/** Stands while a replacement is under way, and after one that was cut short. */
const UNFINISHED = "replacement_unfinished";
/**
 * Stands while a process records, and after one that was killed: the store comes first, so that a kill between the two
 * leaves content there of which no row tells, and no later pull of it would write one.
 */
const IN_USE = "in_use";

/**
 * One repository a transaction. What was recorded after a snapshot was asked for stays, since the store may have gained it
 * behind the walk: serving goes on meanwhile, here or in another process.
 */
export async function replaceHeld(
  db: CatalogDb,
  snapshots: AsyncIterable<HeldSnapshot>,
  now: () => number,
): Promise<void> {
  const walkStartMs = now();
  await markUnfinished(db, walkStartMs);
  const seen = new Set<string>();
  let askedAtMs = walkStartMs;
  for await (const snapshot of snapshots) {
    seen.add(repositoryPath(snapshot.repository));
    // A clock that is set back meanwhile must not make what is written now look older than the question.
    const writtenAtMs = Math.max(now(), askedAtMs);
    await replaceOne(db, snapshot, askedAtMs, writtenAtMs);
    askedAtMs = Math.max(now(), writtenAtMs);
  }
  await dropUnseen(db, seen, walkStartMs);
  await db.deleteFrom("facts").where("key", "=", UNFINISHED).execute();
}

/** True where nothing was ever recorded, or where a replacement never came to its end. */
export async function isEmpty(db: CatalogDb): Promise<boolean> {
  const unfinished = await db.selectFrom("facts").select("key").where("key", "=", UNFINISHED).executeTakeFirst();
  if (unfinished !== undefined) return true;
  return (await db.selectFrom("manifests").select("id").limit(1).executeTakeFirst()) === undefined;
}

async function markUnfinished(db: CatalogDb, nowMs: number): Promise<void> {
  await setFact(db, UNFINISHED, nowMs);
}

/** True where the mark was there already. */
export async function markInUse(db: CatalogDb, nowMs: number): Promise<boolean> {
  const before = await db.selectFrom("facts").select("key").where("key", "=", IN_USE).executeTakeFirst();
  await setFact(db, IN_USE, nowMs);
  return before !== undefined;
}

export async function markSettled(db: CatalogDb): Promise<void> {
  await db.deleteFrom("facts").where("key", "=", IN_USE).execute();
}

async function setFact(db: CatalogDb, key: string, nowMs: number): Promise<void> {
  await db
    .insertInto("facts")
    .values({ key, value: String(nowMs) })
    .onConflict((conflict) => conflict.column("key").doUpdateSet({ value: String(nowMs) }))
    .execute();
}

async function replaceOne(db: CatalogDb, snapshot: HeldSnapshot, askedAtMs: number, nowMs: number): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const repositoryId = await repositoryIdOf(trx, snapshot.repository, nowMs);
    await inBatches(snapshot.manifests, MANIFESTS_PER_BATCH, async (piece) => {
      for (const manifest of piece) await rebuildManifest(trx, repositoryId, manifest, nowMs);
    });
    await holdBlobs(trx, repositoryId, snapshot.blobs, nowMs);
    await replaceTags(trx, repositoryId, snapshot.tags, { askedAtMs, nowMs });
    await dropRecordedBefore(trx, repositoryId, askedAtMs);
  });
}

async function dropUnseen(db: CatalogDb, seen: ReadonlySet<string>, walkStartMs: number): Promise<void> {
  const all = await db.selectFrom("repositories").select(["id", "path"]).orderBy("path").execute();
  for (const { id, path } of all) {
    if (seen.has(path)) continue;
    await db.transaction().execute(async (trx) => {
      await replaceTags(trx, id, [], { askedAtMs: walkStartMs, nowMs: walkStartMs });
      await dropRecordedBefore(trx, id, walkStartMs);
      await dropIfBare(trx, id, walkStartMs);
    });
  }
}

/** Removes a repository, its history and its lists with it, unless something of it is held or it is newer than the walk. */
async function dropIfBare(db: CatalogDb, repositoryId: number, walkStartMs: number): Promise<void> {
  for (const table of ["manifests", "blobs", "tags"] as const) {
    const held = await db
      .selectFrom(table)
      .select("repository_id")
      .where("repository_id", "=", repositoryId)
      .limit(1)
      .executeTakeFirst();
    if (held !== undefined) return;
  }
  await db
    .deleteFrom("repositories")
    .where("id", "=", repositoryId)
    .where("recorded_at_ms", "<", walkStartMs)
    .execute();
}
