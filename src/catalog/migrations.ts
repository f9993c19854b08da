import { type ColumnDefinitionBuilder, type CreateTableBuilder, sql } from "kysely";
import { CatalogNewerError } from "./errors.ts";
import { addContents } from "./migrations-contents.ts";
import { addVanished } from "./migrations-vanished.ts";
import { addCounters } from "./migrations-counters.ts";
import type { CatalogDb } from "./schema.ts";

/** The few words of a schema in which SQL dialects differ. */
export interface SchemaWords {
  /** Makes an integer column the primary key that numbers itself. */
  readonly selfNumbering: (column: ColumnDefinitionBuilder) => ColumnDefinitionBuilder;
  /** Keeps a table's rows in its primary key, where the dialect can. */
  readonly inKeyOrder: <T extends string, C extends string>(
    table: CreateTableBuilder<T, C>,
  ) => CreateTableBuilder<T, C>;
}

type Migration = (db: CatalogDb, words: SchemaWords) => Promise<void>;

/** By version, from 1. Released ones are never edited: a change is a further one at the end. */
const MIGRATIONS: readonly Migration[] = [
  createTables,
  indexByDigest,
  indexByRegistry,
  indexByFetcher,
  indexLeading,
  addContents,
  addVanished,
  addCounters,
];

/** The version that this release works with. */
export const SCHEMA_VERSION = MIGRATIONS.length;

type VersionTable = { schema_versions: { version: number; applied_at_ms: number } };

/**
 * Brings the database to our version, all steps in one transaction: a crash leaves the old version or the new one.
 * Rejects with `CatalogNewerError` where a later release was here.
 */
export async function migrate(db: CatalogDb, words: SchemaWords, nowMs: number): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const versions = trx.withTables<VersionTable>();
    await trx.schema
      .createTable("schema_versions")
      .ifNotExists()
      .addColumn("version", "integer", (column) => column.primaryKey())
      .addColumn("applied_at_ms", "bigint", (column) => column.notNull())
      .execute();
    const newest = await versions
      .selectFrom("schema_versions")
      .select((eb) => eb.fn.max("version").as("version"))
      .executeTakeFirst();
    const found = newest?.version ?? 0;
    if (found > SCHEMA_VERSION) throw new CatalogNewerError(found, SCHEMA_VERSION);
    for (const [index, step] of MIGRATIONS.entries()) {
      if (index < found) continue;
      await step(trx, words);
      await versions
        .insertInto("schema_versions")
        .values({ version: index + 1, applied_at_ms: nowMs })
        .execute();
    }
  });
}

/** Version 1. */
async function createTables(db: CatalogDb, words: SchemaWords): Promise<void> {
  await createRepositories(db, words);
  await createManifests(db, words);
  await createTags(db, words);
  await createSavedLists(db);
}

/** Version 2: who has some content, for `isOpenAt`. */
async function indexByDigest(db: CatalogDb): Promise<void> {
  await db.schema.createIndex("blobs_by_digest").on("blobs").columns(["digest", "repository_id"]).execute();
  await db.schema.createIndex("manifests_by_digest").on("manifests").columns(["digest", "repository_id"]).execute();
}

/** Version 3: pages of the inventory, and `_catalog` of one registry. */
async function indexByRegistry(db: CatalogDb): Promise<void> {
  await db.schema.createIndex("repositories_by_registry").on("repositories").columns(["registry_id", "name"]).execute();
}

/** Version 4: what credentials have opened, for lists that leave that out. */
async function indexByFetcher(db: CatalogDb): Promise<void> {
  await db.schema
    .createIndex("manifests_by_fetcher")
    .on("manifests")
    .columns(["fetched_with", "repository_id"])
    .where(sql.ref("fetched_with"), "is not", null)
    .execute();
}

/** Version 5: which tags lead to a digest or did, and since when, from one index each. */
async function indexLeading(db: CatalogDb): Promise<void> {
  await db.schema.dropIndex("tags_by_digest").execute();
  for (const table of ["tags", "tag_history"] as const) {
    await db.schema
      .createIndex(`${table}_by_digest`)
      .on(table)
      .columns(["repository_id", "digest", "tag", "first_seen_at_ms"])
      .execute();
  }
}

async function createRepositories(db: CatalogDb, words: SchemaWords): Promise<void> {
  await db.schema
    .createTable("facts")
    .addColumn("key", "text", (column) => column.primaryKey().notNull())
    .addColumn("value", "text", (column) => column.notNull())
    .execute();
  await db.schema
    .createTable("repositories")
    .addColumn("id", "integer", words.selfNumbering)
    .addColumn("path", "text", (column) => column.notNull().unique())
    .addColumn("registry_id", "text", (column) => column.notNull())
    .addColumn("serves", "text", (column) => column.notNull())
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("recorded_at_ms", "bigint", (column) => column.notNull())
    .execute();
}

async function createManifests(db: CatalogDb, words: SchemaWords): Promise<void> {
  await db.schema
    .createTable("manifests")
    .addColumn("id", "integer", words.selfNumbering)
    .addColumn("repository_id", "integer", ofRepository)
    .addColumn("digest", "text", (column) => column.notNull())
    .addColumn("media_type", "text", (column) => column.notNull())
    .addColumn("artifact_type", "text")
    .addColumn("subject", "text")
    .addColumn("size", "bigint", (column) => column.notNull())
    .addColumn("fetched_with", "text")
    .addColumn("held_at_ms", "bigint", (column) => column.notNull())
    .addColumn("recorded_at_ms", "bigint", (column) => column.notNull())
    .addColumn("last_used_at_ms", "bigint", (column) => column.notNull())
    .addUniqueConstraint("manifests_of_repository", ["repository_id", "digest"])
    .execute();
  await words
    .inKeyOrder(db.schema.createTable("manifest_references"))
    .addColumn("manifest_id", "integer", (column) => column.notNull().references("manifests.id").onDelete("cascade"))
    .addColumn("digest", "text", (column) => column.notNull())
    .addColumn("repository_id", "integer", (column) => column.notNull())
    .addColumn("kind", "text", (column) => column.notNull())
    .addColumn("size", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("manifest_references_key", ["manifest_id", "digest"])
    .execute();
  await db.schema
    .createIndex("manifest_references_named")
    .on("manifest_references")
    .columns(["repository_id", "digest", "size"])
    .execute();
  await words
    .inKeyOrder(db.schema.createTable("blobs"))
    .addColumn("repository_id", "integer", ofRepository)
    .addColumn("digest", "text", (column) => column.notNull())
    .addColumn("size", "bigint", (column) => column.notNull())
    .addColumn("fetched_with", "text")
    .addColumn("held_at_ms", "bigint", (column) => column.notNull())
    .addColumn("recorded_at_ms", "bigint", (column) => column.notNull())
    .addColumn("last_used_at_ms", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("blobs_key", ["repository_id", "digest"])
    .execute();
}

async function createTags(db: CatalogDb, words: SchemaWords): Promise<void> {
  await words
    .inKeyOrder(db.schema.createTable("tags"))
    .addColumn("repository_id", "integer", ofRepository)
    .addColumn("tag", "text", (column) => column.notNull())
    .addColumn("digest", "text", (column) => column.notNull())
    .addColumn("manifest_id", "integer", (column) => column.references("manifests.id").onDelete("set null"))
    .addColumn("first_seen_at_ms", "bigint", (column) => column.notNull())
    .addColumn("confirmed_at_ms", "bigint", (column) => column.notNull())
    .addColumn("recorded_at_ms", "bigint", (column) => column.notNull())
    .addColumn("last_used_at_ms", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("tags_key", ["repository_id", "tag"])
    .execute();
  await db.schema.createIndex("tags_by_digest").on("tags").columns(["repository_id", "digest"]).execute();
  await db.schema.createIndex("tags_by_manifest").on("tags").column("manifest_id").execute();
  // Statistics read this one and nothing else; without its last column SQLite would look into the table for that.
  await db.schema
    .createIndex("tags_held")
    .on("tags")
    .columns(["repository_id", "tag", "manifest_id"])
    .where(sql.ref("manifest_id"), "is not", null)
    .execute();
  await db.schema
    .createTable("tag_history")
    .addColumn("id", "integer", words.selfNumbering)
    .addColumn("repository_id", "integer", ofRepository)
    .addColumn("tag", "text", (column) => column.notNull())
    .addColumn("digest", "text", (column) => column.notNull())
    .addColumn("first_seen_at_ms", "bigint", (column) => column.notNull())
    .addColumn("confirmed_at_ms", "bigint", (column) => column.notNull())
    .execute();
  await db.schema.createIndex("tag_history_of_tag").on("tag_history").columns(["repository_id", "tag", "id"]).execute();
}

async function createSavedLists(db: CatalogDb): Promise<void> {
  await db.schema
    .createTable("saved_lists")
    .addColumn("repository_id", "integer", ofRepository)
    .addColumn("kind", "text", (column) => column.notNull())
    .addColumn("key", "text", (column) => column.notNull())
    .addColumn("body", "text", (column) => column.notNull())
    .addColumn("bytes", "integer", (column) => column.notNull())
    .addColumn("saved_at_ms", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("saved_lists_key", ["repository_id", "kind", "key"])
    .execute();
  await db.schema.createIndex("saved_lists_by_age").on("saved_lists").columns(["saved_at_ms", "bytes"]).execute();
}

function ofRepository(column: ColumnDefinitionBuilder): ColumnDefinitionBuilder {
  return column.notNull().references("repositories.id").onDelete("cascade");
}
