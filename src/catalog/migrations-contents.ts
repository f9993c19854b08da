import { sql } from "kysely";
import { ALL_REGISTRIES } from "./contents.ts";
import type { SchemaWords } from "./migrations.ts";
import type { CatalogDb } from "./schema.ts";

/** Version 6: what is held in bytes, all together and by registry, and which manifests nothing else leads to, for eviction. */
export async function addContents(db: CatalogDb, words: SchemaWords): Promise<void> {
  await createContents(db, words);
  await fillContents(db);
  await markRoots(db);
}

async function createContents(db: CatalogDb, words: SchemaWords): Promise<void> {
  // By digest first: what has another size than before is looked up in all registries.
  await words
    .inKeyOrder(db.schema.createTable("contents"))
    .addColumn("digest", "text", (column) => column.notNull())
    .addColumn("registry_id", "text", (column) => column.notNull())
    .addColumn("size", "bigint", (column) => column.notNull())
    .addColumn("links", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("contents_key", ["digest", "registry_id"])
    .execute();
  await words
    .inKeyOrder(db.schema.createTable("content_sizes"))
    .addColumn("registry_id", "text", (column) => column.primaryKey().notNull())
    .addColumn("bytes", "bigint", (column) => column.notNull())
    .addColumn("contents", "bigint", (column) => column.notNull())
    .execute();
}

async function fillContents(db: CatalogDb): Promise<void> {
  await sql`
    insert into contents (digest, registry_id, size, links)
    with links (repository_id, digest, size) as (
      select repository_id, digest, size from blobs union all select repository_id, digest, size from manifests
    ), sizes (digest, size) as (select digest, max(size) from links group by digest)
    select l.digest, r.registry_id, s.size, count(*)
      from links l join repositories r on r.id = l.repository_id join sizes s on s.digest = l.digest
      group by l.digest, r.registry_id, s.size
    union all
    select l.digest, ${ALL_REGISTRIES}, s.size, count(*)
      from links l join sizes s on s.digest = l.digest group by l.digest, s.size`.execute(db);
  await sql`
    insert into content_sizes (registry_id, bytes, contents)
    select registry_id, sum(size), count(*) from contents group by registry_id`.execute(db);
}

async function markRoots(db: CatalogDb): Promise<void> {
  await db.schema
    .alterTable("manifests")
    .addColumn("is_root", "integer", (column) => column.notNull().defaultTo(1))
    .execute();
  await db.schema
    .createIndex("manifests_by_subject")
    .on("manifests")
    .columns(["repository_id", "subject"])
    .where(sql.ref("subject"), "is not", null)
    .execute();
  await sql`
    update manifests set is_root = 0
    where exists (
      select 1 from manifest_references n
      where n.repository_id = manifests.repository_id and n.digest = manifests.digest and n.kind = 'manifest'
    ) or exists (
      select 1 from manifests s where s.repository_id = manifests.repository_id and s.digest = manifests.subject
    )`.execute(db);
  await db.schema
    .createIndex("manifests_unused_longest")
    .on("manifests")
    .columns(["last_used_at_ms", "id"])
    .where(sql.ref("is_root"), "=", sql.lit(1))
    .execute();
}
