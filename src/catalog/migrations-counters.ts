import type { SchemaWords } from "./migrations.ts";
import type { CatalogDb } from "./schema.ts";

/** Version 8: counters, who has pulled what, and for which platforms an index has manifests. */
export async function addCounters(db: CatalogDb, words: SchemaWords): Promise<void> {
  await createCounters(db, words);
  await createPulls(db, words);
  await db.schema.alterTable("manifest_references").addColumn("platform", "text").execute();
  await wantRebuild(db);
}

async function createCounters(db: CatalogDb, words: SchemaWords): Promise<void> {
  await words
    .inKeyOrder(db.schema.createTable("day_counters"))
    .addColumn("day", "integer", (column) => column.notNull())
    .addColumn("registry_id", "text", (column) => column.notNull())
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("value", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("day_counters_key", ["day", "registry_id", "name"])
    .execute();
  await words
    .inKeyOrder(db.schema.createTable("all_time_counters"))
    .addColumn("registry_id", "text", (column) => column.notNull())
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("value", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("all_time_counters_key", ["registry_id", "name"])
    .execute();
}

async function createPulls(db: CatalogDb, words: SchemaWords): Promise<void> {
  await db.schema
    .createTable("manifest_pulls")
    .addColumn("manifest_id", "integer", (column) => column.primaryKey().references("manifests.id").onDelete("cascade"))
    .addColumn("pulls", "bigint", (column) => column.notNull())
    .addColumn("last_pulled_at_ms", "bigint", (column) => column.notNull())
    .execute();
  await words
    .inKeyOrder(db.schema.createTable("tag_pulls"))
    .addColumn("repository_id", "integer", (column) => column.notNull())
    .addColumn("tag", "text", (column) => column.notNull())
    .addColumn("pulls", "bigint", (column) => column.notNull())
    .addColumn("last_pulled_at_ms", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("tag_pulls_key", ["repository_id", "tag"])
    .addForeignKeyConstraint("tag_pulls_of", ["repository_id", "tag"], "tags", ["repository_id", "tag"], (key) =>
      key.onDelete("cascade"),
    )
    .execute();
  await words
    .inKeyOrder(db.schema.createTable("pullers"))
    .addColumn("manifest_id", "integer", (column) => column.notNull().references("manifests.id").onDelete("cascade"))
    .addColumn("puller", "text", (column) => column.notNull())
    .addColumn("pulls", "bigint", (column) => column.notNull())
    .addColumn("last_pulled_at_ms", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("pullers_key", ["manifest_id", "puller"])
    .execute();
  await db.schema.createIndex("pullers_by_time").on("pullers").column("last_pulled_at_ms").execute();
}

/** What manifests say of platforms was not written down before: the next start reads them again. */
async function wantRebuild(db: CatalogDb): Promise<void> {
  const held = await db.selectFrom("manifests").select("id").limit(1).executeTakeFirst();
  if (held === undefined) return;
  await db
    .insertInto("facts")
    .values({ key: "replacement_unfinished", value: "0" })
    .onConflict((conflict) => conflict.column("key").doNothing())
    .execute();
}
