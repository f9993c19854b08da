import { inBatches, ROWS_PER_INSERT } from "./batches.ts";
import type { HeldSnapshot } from "./catalog.ts";
import type { CatalogDb, TagTable } from "./schema.ts";
import { remember } from "./tags.ts";

/**
 * Makes the tags of a repository those of a snapshot that was asked for at `askedAtMs`. Tags that were recorded since stay
 * as they are; use and history stay, and where a tag pointed until now goes into its history.
 */
export async function replaceTags(
  db: CatalogDb,
  repositoryId: number,
  tags: HeldSnapshot["tags"],
  { askedAtMs, nowMs }: { readonly askedAtMs: number; readonly nowMs: number },
): Promise<void> {
  const before = await tagsOf(db, repositoryId);
  const manifestIds = await manifestIdsOf(db, repositoryId);
  const stored = new Map<string, TagTable>();
  for (const { tag, digest, atMs, confirmedAtMs = atMs } of tags) {
    const known = before.get(tag);
    if (known !== undefined && known.recorded_at_ms >= askedAtMs) continue;
    const manifestId = manifestIds.get(digest) ?? null;
    const fresh = known === undefined || known.digest !== digest;
    stored.set(tag, {
      repository_id: repositoryId,
      tag,
      digest,
      manifest_id: manifestId,
      first_seen_at_ms: fresh ? atMs : known.first_seen_at_ms,
      confirmed_at_ms: fresh ? confirmedAtMs : Math.max(known.confirmed_at_ms, confirmedAtMs),
      recorded_at_ms: nowMs,
      last_used_at_ms: known?.last_used_at_ms ?? atMs,
      vanished_at_ms: fresh ? null : known.vanished_at_ms,
    });
  }
  const gone = [...before.values()].filter(
    (known) => known.recorded_at_ms < askedAtMs && stored.get(known.tag)?.digest !== known.digest,
  );
  await inBatches(gone, ROWS_PER_INSERT, async (piece) => {
    for (const known of piece) await remember(db, known);
  });
  await upsertTags(db, [...stored.values()]);
  await db
    .deleteFrom("tags")
    .where("repository_id", "=", repositoryId)
    .where("recorded_at_ms", "<", askedAtMs)
    .execute();
}

async function upsertTags(db: CatalogDb, rows: readonly TagTable[]): Promise<void> {
  await inBatches(rows, ROWS_PER_INSERT, async (piece) => {
    await db
      .insertInto("tags")
      .values(piece)
      .onConflict((conflict) =>
        conflict.columns(["repository_id", "tag"]).doUpdateSet((eb) => ({
          digest: eb.ref("excluded.digest"),
          manifest_id: eb.ref("excluded.manifest_id"),
          first_seen_at_ms: eb.ref("excluded.first_seen_at_ms"),
          confirmed_at_ms: eb.ref("excluded.confirmed_at_ms"),
          recorded_at_ms: eb.ref("excluded.recorded_at_ms"),
          vanished_at_ms: eb.ref("excluded.vanished_at_ms"),
        })),
      )
      .execute();
  });
}

async function tagsOf(db: CatalogDb, repositoryId: number): Promise<ReadonlyMap<string, TagTable>> {
  const rows = await db.selectFrom("tags").selectAll().where("repository_id", "=", repositoryId).execute();
  return new Map(rows.map((row) => [row.tag, row]));
}

async function manifestIdsOf(db: CatalogDb, repositoryId: number): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .selectFrom("manifests")
    .select(["id", "digest"])
    .where("repository_id", "=", repositoryId)
    .execute();
  return new Map(rows.map((row) => [row.digest, row.id]));
}
