import { sql } from "kysely";
import type { RepositoryName, Tag } from "../oci/reference.ts";
import type { HeldRepository, InventoryRow } from "./catalog.ts";
import type { CatalogDb } from "./schema.ts";

/** Held repositories: those with at least one held manifest. */
export function repositoriesQuery(
  db: CatalogDb,
  query: { readonly registryId?: string; readonly last?: string; readonly limit: number },
) {
  let found = db
    .selectFrom("repositories as r")
    .select(["r.registry_id", "r.serves", "r.name"])
    .where((eb) =>
      eb.exists(eb.selectFrom("manifests as m").select("m.id").whereRef("m.repository_id", "=", "r.id").limit(1)),
    )
    .orderBy("r.path")
    .limit(query.limit);
  if (query.registryId !== undefined) found = found.where("r.registry_id", "=", query.registryId);
  if (query.last !== undefined) found = found.where("r.path", ">", query.last);
  return found;
}

export async function heldRepositories(
  db: CatalogDb,
  query: { readonly registryId?: string; readonly last?: string; readonly limit: number },
): Promise<HeldRepository[]> {
  const rows = await repositoriesQuery(db, query).execute();
  return rows.map((row) => ({ registryId: row.registry_id, serves: row.serves, name: row.name as RepositoryName }));
}

/** Held tags a repository, read from the index `tags_held` alone. */
export function heldTagCountsQuery(db: CatalogDb) {
  return db
    .selectFrom("tags")
    .select((eb) => ["repository_id", eb.fn.countAll<number>().as("images")])
    .where("manifest_id", "is not", null)
    .groupBy("repository_id");
}

export async function countImages(db: CatalogDb): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .selectFrom(heldTagCountsQuery(db).as("held"))
    .innerJoin("repositories as r", "r.id", "held.repository_id")
    .select((eb) => ["r.registry_id", eb.fn.sum<number>("held.images").as("images")])
    .groupBy("r.registry_id")
    .execute();
  return new Map(rows.map((row) => [row.registry_id, row.images]));
}

/**
 * Held tags, all of a repository in one text: a row for each tag would cost many times what reading the index does.
 * No tag contains a space.
 */
export function heldTagsQuery(db: CatalogDb) {
  return db
    .selectFrom("tags")
    .select((eb) => ["repository_id", sql<string>`string_agg(${eb.ref("tag")}, ' ')`.as("tags")])
    .where("manifest_id", "is not", null)
    .groupBy("repository_id");
}

/** Joined here, not in SQL: this way the tags come straight out of one index. */
export async function inventory(db: CatalogDb): Promise<InventoryRow[]> {
  const tagsOf = new Map((await heldTagsQuery(db).execute()).map((row) => [row.repository_id, row.tags]));
  // Read after the tags: no tag can lack its repository then, unless that was removed in between.
  const repositories = await db
    .selectFrom("repositories")
    .select(["id", "registry_id", "name"])
    .orderBy("registry_id")
    .orderBy("name")
    .execute();
  const rows: InventoryRow[] = [];
  for (const { id, registry_id, name } of repositories) {
    // SQL promises no order within an aggregate.
    const tags = tagsOf.get(id)?.split(" ").toSorted() ?? [];
    for (const tag of tags) rows.push({ registryId: registry_id, name: name as RepositoryName, tag: tag as Tag });
  }
  return rows;
}
