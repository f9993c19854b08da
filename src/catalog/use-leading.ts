import { type RawBuilder, sql } from "kysely";
import type { CatalogDb } from "./schema.ts";

/** An index of indexes: nobody nests deeper. */
const DEPTH_MAX = 3;
/** Of the manifests that name one child so many become as young as it is; one of them is enough for it to stay. */
const NAMING_MAX = 16;

/** That something was used in a repository. */
export interface Used {
  readonly repositoryId: number;
  readonly digest: string;
  readonly atMs: number;
}

/**
 * Manifests that lead to what was used, which are used with it: an image is evicted as a whole, by its root's last use, and a
 * client that asks for a child or for a layer alone uses it too. A layer counts for the one manifest that names it; what
 * several name says of none of them that it is in use.
 */
export async function leadingUses(db: CatalogDb, uses: readonly Used[]): Promise<Used[]> {
  const found: Used[] = [];
  let level = uses;
  for (let depth = 0; depth < DEPTH_MAX && level.length > 0; depth += 1) {
    const rows = await namingUses(db, level);
    const namers = Map.groupBy(rows, (row) => `${row.repository_id} ${row.of}`);
    const next = rows.filter(
      (row) => row.kind !== "blob" || namers.get(`${row.repository_id} ${row.of}`)?.length === 1,
    );
    level = next.map((row) => ({ repositoryId: row.repository_id, digest: row.digest, atMs: row.at_ms }));
    found.push(...level);
  }
  return found;
}

interface NamingRow {
  readonly repository_id: number;
  /** What was used. */
  readonly of: string;
  readonly at_ms: number;
  readonly digest: string;
  readonly kind: "manifest" | "blob" | "subject";
}

async function namingUses(db: CatalogDb, uses: readonly Used[]): Promise<NamingRow[]> {
  const { rows } = await leadingUsesQuery(uses).execute(db);
  return rows;
}

/** For each use the few rows of the index that name it, and what it refers to. */
export function leadingUsesQuery(uses: readonly Used[]): RawBuilder<NamingRow> {
  const values = sql.join(uses.map(({ repositoryId, digest, atMs }) => sql`(${repositoryId}, ${digest}, ${atMs})`));
  return sql<NamingRow>`
    with used (repository_id, digest, at_ms) as (values ${values})
    select u.repository_id, u.digest as "of", u.at_ms, m.digest, n.kind
      from used u cross join manifest_references n cross join manifests m
      where n.digest = u.digest and m.id = n.manifest_id and n.manifest_id in (
        select x.manifest_id from manifest_references x
        where x.repository_id = u.repository_id and x.digest = u.digest limit ${NAMING_MAX})
    union all
    select u.repository_id, u.digest, u.at_ms, m.subject, 'subject'
      from used u cross join manifests m
      where m.repository_id = u.repository_id and m.digest = u.digest and m.subject is not null`;
}
