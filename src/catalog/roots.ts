import { sql } from "kysely";
import { inBatches, ROWS_PER_INSERT } from "./batches.ts";
import type { CatalogDb } from "./schema.ts";

/**
 * A root is a held manifest that no other held one of its repository leads to, by naming it or by being its subject: what is
 * evicted is a root with what it leads to. The mark stands in the row, since finding it out for all of them would be a scan.
 */
export async function settleRoots(db: CatalogDb, repositoryId: number, digests: readonly string[]): Promise<void> {
  await inBatches([...new Set(digests)], ROWS_PER_INSERT, async (piece) => {
    await sql`
      update manifests set is_root = not (
        exists (
          select 1 from manifest_references n
          where n.repository_id = manifests.repository_id and n.digest = manifests.digest and n.kind = 'manifest'
        ) or exists (
          select 1 from manifests s where s.repository_id = manifests.repository_id and s.digest = manifests.subject
        ))
      where repository_id = ${repositoryId} and digest in (${sql.join(piece)})`.execute(db);
  });
}

/** Of some manifests of a repository: those that they name, and those whose subject they are, as far as they are held. */
export async function ledToBy(db: CatalogDb, repositoryId: number, digests: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  await inBatches(digests, ROWS_PER_INSERT, async (piece) => {
    const named = await namedManifestsQuery(db, repositoryId, piece).execute();
    const referring = await referringQuery(db, repositoryId, piece).execute();
    for (const { digest } of [...named, ...referring]) found.add(digest);
  });
  return [...found];
}

export function namedManifestsQuery(db: CatalogDb, repositoryId: number, digests: readonly string[]) {
  return db
    .selectFrom("manifests as m")
    .innerJoin("manifest_references as n", "n.manifest_id", "m.id")
    .innerJoin("manifests as held", (join) =>
      join.onRef("held.repository_id", "=", "m.repository_id").onRef("held.digest", "=", "n.digest"),
    )
    .select("held.digest")
    .where("m.repository_id", "=", repositoryId)
    .where("m.digest", "in", digests)
    .where("n.kind", "=", "manifest");
}

export function referringQuery(db: CatalogDb, repositoryId: number, digests: readonly string[]) {
  return db
    .selectFrom("manifests as m")
    .select("m.digest")
    .where("m.repository_id", "=", repositoryId)
    .where("m.subject", "in", digests);
}
