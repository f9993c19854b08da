import { type Repository, repositoryPath } from "../oci/reference.ts";
import type { Use } from "./catalog.ts";
import { findRepositoryId } from "./repositories.ts";
import type { CatalogDb } from "./schema.ts";

/** Moves last use forward, never back; what is not there is passed over. */
export async function touch(db: CatalogDb, uses: readonly Use[]): Promise<void> {
  const idOf = rememberingIds(db);
  for (const use of uses) {
    const repositoryId = await idOf(use.repository);
    if (repositoryId !== undefined) await touchOne(db, repositoryId, use);
  }
}

/** A batch names few repositories many times. */
function rememberingIds(db: CatalogDb): (repository: Repository) => Promise<number | undefined> {
  const known = new Map<string, number | undefined>();
  return async (repository) => {
    const path = repositoryPath(repository);
    if (!known.has(path)) known.set(path, await findRepositoryId(db, repository));
    return known.get(path);
  };
}

async function touchOne(db: CatalogDb, repositoryId: number, use: Use): Promise<void> {
  const manifest = await db
    .updateTable("manifests")
    .set({ last_used_at_ms: use.atMs })
    .where("repository_id", "=", repositoryId)
    .where("digest", "=", use.digest)
    .where("last_used_at_ms", "<", use.atMs)
    .executeTakeFirst();
  if (manifest.numUpdatedRows === 0n) {
    await db
      .updateTable("blobs")
      .set({ last_used_at_ms: use.atMs })
      .where("repository_id", "=", repositoryId)
      .where("digest", "=", use.digest)
      .where("last_used_at_ms", "<", use.atMs)
      .execute();
  }
  if (use.tag === undefined) return;
  await db
    .updateTable("tags")
    .set({ last_used_at_ms: use.atMs })
    .where("repository_id", "=", repositoryId)
    .where("tag", "=", use.tag)
    .where("last_used_at_ms", "<", use.atMs)
    .execute();
}
