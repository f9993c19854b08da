import { sql } from "kysely";
import type { RepositoryName } from "../oci/reference.ts";
import type { RepositoriesQuery } from "./catalog.ts";
import type { ImageGap, RepositoryRow } from "./images.ts";
import { repositoriesQuery } from "./inventory.ts";
import type { CatalogDb } from "./schema.ts";

/** An image, an index, an index of indexes: nobody nests deeper. */
const DEPTH_MAX = 4;

/** Each content counts once for an image, however many of its manifests name it; what refers to the image is part of it. */
export async function imageSizes(db: CatalogDb, ids: readonly number[]): Promise<ReadonlyMap<number, number>> {
  if (ids.length === 0) return new Map();
  const { rows } = await imageSizesQuery(ids).execute(db);
  return new Map(rows.map(({ root, size }) => [root, size]));
}

/**
 * The held manifests that each leads to. Cross joins say in which order: SQLite would go through everything that manifests name, and
 * look those up among the few wanted.
 */
function treeOf(ids: readonly number[]) {
  return sql`tree (root, id, depth) as (
      select id, id, 1 from manifests where id in (${sql.join(ids)})
      union
      select tree.root, c.id, tree.depth + 1 from tree cross join manifest_references as n cross join manifests as c
      where tree.depth < ${DEPTH_MAX} and n.manifest_id = tree.id and n.kind = 'manifest'
        and c.repository_id = n.repository_id and c.digest = n.digest
      union
      select tree.root, s.id, tree.depth + 1 from tree cross join manifests as m cross join manifests as s
      where tree.depth < ${DEPTH_MAX} and m.id = tree.id and s.repository_id = m.repository_id and s.subject = m.digest
    )`;
}

export function imageSizesQuery(ids: readonly number[]) {
  return sql<{ root: number; size: number }>`
    with recursive ${treeOf(ids)},
    contents (root, digest, size) as (
      select tree.root, m.digest, m.size from tree cross join manifests as m where m.id = tree.id
      union
      select tree.root, b.digest, b.size from tree cross join manifest_references as n cross join blobs as b
      where n.manifest_id = tree.id and n.kind = 'blob' and b.repository_id = n.repository_id and b.digest = n.digest
    )
    select root, sum(size) as size from contents group by root`;
}

/** Only of those that lack something. */
export async function imageGaps(db: CatalogDb, ids: readonly number[]): Promise<ReadonlyMap<number, ImageGap>> {
  if (ids.length === 0) return new Map();
  const { rows } = await imageGapsQuery(ids).execute(db);
  return new Map(rows.map(({ root, ...gap }) => [root, gap]));
}

/** Each blob counts once for an image, however many of its manifests name it; an unknown size counts as nothing. */
export function imageGapsQuery(ids: readonly number[]) {
  return sql<{ root: number } & ImageGap>`
    with recursive ${treeOf(ids)},
    named (root, digest, size, held) as (
      select tree.root, n.digest, max(n.size), max(case when exists (
        select 1 from blobs as b where b.repository_id = n.repository_id and b.digest = n.digest) then 1 else 0 end)
      from tree cross join manifest_references as n where n.manifest_id = tree.id and n.kind = 'blob'
      group by tree.root, n.digest
    )
    select root, sum(1 - held) as contents, count(*) as "of",
      sum(case when held = 0 and size > 0 then size else 0 end) as bytes
    from named group by root having sum(1 - held) > 0`;
}

interface SummaryRow {
  readonly registry_id: string;
  readonly serves: string;
  readonly name: string;
  readonly images: number;
  readonly tags: number;
  readonly manifest_bytes: number | null;
  readonly blob_bytes: number | null;
  readonly last_pulled_at_ms: number | null;
}

/** A digest that a repository has as a manifest and as a blob counts as a manifest. */
export async function repositorySummaries(db: CatalogDb, query: RepositoriesQuery): Promise<RepositoryRow[]> {
  const { rows } = await sql<SummaryRow>`
    with held as ${repositoriesQuery(db, query).select(["r.id", "r.path"])}
    select held.registry_id, held.serves, held.name,
      (select count(*) from manifests as m where m.repository_id = held.id and m.is_root = 1) as images,
      (select count(*) from tags as t where t.repository_id = held.id and t.manifest_id is not null) as tags,
      (select sum(m.size) from manifests as m where m.repository_id = held.id) as manifest_bytes,
      (select sum(b.size) from blobs as b where b.repository_id = held.id and not exists (
        select 1 from manifests as m where m.repository_id = b.repository_id and m.digest = b.digest)) as blob_bytes,
      (select max(p.last_pulled_at_ms) from manifests as m join manifest_pulls as p on p.manifest_id = m.id
        where m.repository_id = held.id) as last_pulled_at_ms
    from held order by held.path`.execute(db);
  return rows.map((row) => ({
    registryId: row.registry_id,
    serves: row.serves,
    repository: row.name as RepositoryName,
    images: row.images,
    tags: row.tags,
    bytes: (row.manifest_bytes ?? 0) + (row.blob_bytes ?? 0),
    lastPulledAtMs: row.last_pulled_at_ms ?? undefined,
  }));
}
