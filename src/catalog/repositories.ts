import { type Repository, repositoryPath } from "../oci/reference.ts";
import { moveContents } from "./contents.ts";
import type { CatalogDb } from "./schema.ts";

/** The row's id; makes the row where there is none. The id of its registry follows the configuration. */
export async function repositoryIdOf(db: CatalogDb, repository: Repository, nowMs: number): Promise<number> {
  const path = repositoryPath(repository);
  const known = await db
    .selectFrom("repositories")
    .select(["id", "registry_id"])
    .where("path", "=", path)
    .executeTakeFirst();
  if (known !== undefined && known.registry_id === repository.registryId) return known.id;
  const row = await db
    .insertInto("repositories")
    .values({
      path,
      registry_id: repository.registryId,
      serves: repository.serves,
      name: repository.name,
      recorded_at_ms: nowMs,
    })
    .onConflict((conflict) => conflict.column("path").doUpdateSet({ registry_id: repository.registryId }))
    .returning("id")
    .executeTakeFirstOrThrow();
  if (known !== undefined) await moveContents(db, row.id, known.registry_id, repository.registryId);
  return row.id;
}

/** The row's id; undefined where nothing of it was ever recorded. */
export async function repositoryIdIfHeld(db: CatalogDb, repository: Repository): Promise<number | undefined> {
  const row = await db
    .selectFrom("repositories")
    .select("id")
    .where("path", "=", repositoryPath(repository))
    .executeTakeFirst();
  return row?.id;
}

export async function registryIdOf(db: CatalogDb, repositoryId: number): Promise<string> {
  const row = await db
    .selectFrom("repositories")
    .select("registry_id")
    .where("id", "=", repositoryId)
    .executeTakeFirstOrThrow();
  return row.registry_id;
}
