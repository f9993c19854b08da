import { inBatches, ROWS_PER_INSERT } from "./batches.ts";
import { loseContents } from "./contents.ts";
import { registryIdOf } from "./repositories.ts";
import { ledToBy, settleRoots } from "./roots.ts";
import type { CatalogDb } from "./schema.ts";

/** A repository has these manifests no longer; what is not there is passed over. */
export async function dropManifests(db: CatalogDb, repositoryId: number, digests: readonly string[]): Promise<void> {
  await inBatches(digests, ROWS_PER_INSERT, async (piece) => {
    const ledTo = await ledToBy(db, repositoryId, piece);
    await dropRows(db, "manifests", repositoryId, piece);
    await settleRoots(db, repositoryId, ledTo);
  });
}

/** A repository has these blobs no longer; what is not there is passed over. */
export async function dropBlobs(db: CatalogDb, repositoryId: number, digests: readonly string[]): Promise<void> {
  await inBatches(digests, ROWS_PER_INSERT, async (piece) => await dropRows(db, "blobs", repositoryId, piece));
}

/** Forgets what nothing proved since. */
export async function dropRecordedBefore(db: CatalogDb, repositoryId: number, beforeMs: number): Promise<void> {
  for (const [table, drop] of [["manifests", dropManifests] as const, ["blobs", dropBlobs] as const]) {
    const rows = await db
      .selectFrom(table)
      .select("digest")
      .where("repository_id", "=", repositoryId)
      .where("recorded_at_ms", "<", beforeMs)
      .execute();
    await drop(
      db,
      repositoryId,
      rows.map(({ digest }) => digest),
    );
  }
}

async function dropRows(
  db: CatalogDb,
  table: "manifests" | "blobs",
  repositoryId: number,
  digests: readonly string[],
): Promise<void> {
  const gone = await db
    .deleteFrom(table)
    .where("repository_id", "=", repositoryId)
    .where("digest", "in", digests)
    .returning("digest")
    .execute();
  await loseContents(
    db,
    await registryIdOf(db, repositoryId),
    gone.map(({ digest }) => digest),
  );
}
