import { sql } from "kysely";
import type { RepositoryName, Tag } from "../oci/reference.ts";
import type { HeldRepository, HeldTags, RepositoriesQuery } from "./catalog.ts";
import type { CatalogDb } from "./schema.ts";

/** Held repositories: those with at least one held manifest. */
export function repositoriesQuery(db: CatalogDb, query: RepositoriesQuery) {
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
  const { exceptFetchedWith: id } = query;
  return id === undefined ? found : found.where("r.id", "not in", () => fetchedWith(db, id));
}

export async function heldRepositories(db: CatalogDb, query: RepositoriesQuery): Promise<HeldRepository[]> {
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

/** Repositories of which a manifest was fetched with some credentials: the index `manifests_by_fetcher` has few of them. */
function fetchedWith(db: CatalogDb, credentialId: string) {
  return db.selectFrom("manifests as f").select("f.repository_id").where("f.fetched_with", "=", credentialId);
}

type InventoryQuery = RepositoriesQuery & { readonly registryId: string };

/**
 * Held tags, all of a repository in one text: a row for each tag would cost many times what reading the index does.
 * No tag contains a space.
 */
export function heldTagsQuery(db: CatalogDb, { registryId, last, limit, exceptFetchedWith: id }: InventoryQuery) {
  let query = db
    .selectFrom("repositories as r")
    .select((eb) => [
      "r.name",
      eb
        .selectFrom("tags as t")
        .select((tags) => sql<string>`string_agg(${tags.ref("t.tag")}, ' ')`.as("tags"))
        .whereRef("t.repository_id", "=", "r.id")
        .where("t.manifest_id", "is not", null)
        .as("tags"),
    ])
    .where("r.registry_id", "=", registryId)
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom("tags as t")
          .select("t.tag")
          .whereRef("t.repository_id", "=", "r.id")
          .where("t.manifest_id", "is not", null),
      ),
    )
    .orderBy("r.name")
    .limit(limit);
  if (last !== undefined) query = query.where("r.name", ">", last);
  return id === undefined ? query : query.where("r.id", "not in", () => fetchedWith(db, id));
}

export async function inventory(db: CatalogDb, query: InventoryQuery): Promise<HeldTags[]> {
  const rows = await heldTagsQuery(db, query).execute();
  return rows.map(({ name, tags }) => ({
    name: name as RepositoryName,
    // SQL promises no order within an aggregate.
    tags: (tags ?? "").split(" ").toSorted() as Tag[],
  }));
}
