import { type ExpressionBuilder, sql } from "kysely";
import type { RepositoryName, Tag } from "../oci/reference.ts";
import type { HeldRepository, HeldTags, RepositoriesQuery, Unlisted } from "./catalog.ts";
import type { CatalogDb, CatalogSchema, RepositoryTable } from "./schema.ts";

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
  if (query.path !== undefined) found = found.where("r.path", "=", query.path);
  if (query.last !== undefined) found = found.where("r.path", ">", query.last);
  const { except } = query;
  return except === undefined ? found : found.where(isListed(except));
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

/** What is left of some repositories, by the index `manifests_by_fetcher` alone, which has nothing but what credentials have fetched. */
export function isListed({ fetchedWith, privateOf }: Unlisted) {
  return (eb: ExpressionBuilder<CatalogSchema & { r: RepositoryTable }, "r">) => {
    const fetched = eb.selectFrom("manifests as f").select("f.repository_id");
    const isOfClients = eb("r.id", "in", fetched.where("f.fetched_with", "=", fetchedWith));
    if (privateOf.length === 0) return eb.not(isOfClients);
    const isPrivate = eb("r.id", "in", fetched.where("f.fetched_with", "is not", null));
    return eb.not(eb.or([isOfClients, eb.and([eb("r.registry_id", "in", privateOf), isPrivate])]));
  };
}

type InventoryQuery = RepositoriesQuery & { readonly registryId: string };

/**
 * Held tags, all of a repository in one text: a row for each tag would cost many times what reading the index does.
 * No tag contains a space.
 */
export function heldTagsQuery(db: CatalogDb, { registryId, last, limit, except }: InventoryQuery) {
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
  return except === undefined ? query : query.where(isListed(except));
}

export async function inventory(db: CatalogDb, query: InventoryQuery): Promise<HeldTags[]> {
  const rows = await heldTagsQuery(db, query).execute();
  return rows.map(({ name, tags }) => ({
    name: name as RepositoryName,
    // SQL promises no order within an aggregate.
    tags: (tags ?? "").split(" ").toSorted() as Tag[],
  }));
}
