import { sql } from "kysely";
import type { Digest } from "../oci/digest.ts";
import type { RepositoryName, Tag } from "../oci/reference.ts";
import type { ImageChild, ImageRow, ImagesQuery, ImageTag, Puller } from "./images.ts";
import { isListed } from "./inventory.ts";
import { REFERENCES_MAX } from "./manifests.ts";
import type { CatalogDb } from "./schema.ts";

/** Tags of all images of one answer together: whatever has thousands shows so many. */
const TAGS_MAX = 5_000;

/** Images: by the indexes `repositories.path` and `manifests_of_repository`, so that a page reads no more than it has. */
export function imagesQuery(db: CatalogDb, { registryId, path, digest, after, limit, except }: ImagesQuery) {
  let query = db
    .selectFrom("repositories as r")
    .crossJoin("manifests as m")
    .leftJoin("manifest_pulls as p", "p.manifest_id", "m.id")
    .select(["r.registry_id", "r.serves", "r.name", "m.id", "m.repository_id", "m.digest", "m.media_type"])
    .select(["m.artifact_type", "m.held_at_ms", "p.pulls", "p.last_pulled_at_ms"])
    .select((eb) =>
      eb
        .selectFrom("manifest_references as n")
        .innerJoin("manifests as c", (join) =>
          join.onRef("c.repository_id", "=", "n.repository_id").onRef("c.digest", "=", "n.digest"),
        )
        .innerJoin("manifest_pulls as q", "q.manifest_id", "c.id")
        .select((of) => of.fn.max("q.last_pulled_at_ms").as("at_ms"))
        .whereRef("n.manifest_id", "=", "m.id")
        .where("n.kind", "=", "manifest")
        .as("child_pulled_at_ms"),
    )
    .whereRef("m.repository_id", "=", "r.id")
    // Without the sign SQLite would go by the index of all roots, and sort them.
    .where(sql<boolean>`+m.is_root = 1`)
    .orderBy("r.path")
    .orderBy("m.digest")
    .limit(limit);
  // By the index of a registry's names SQLite would have to sort them by path.
  if (registryId !== undefined) query = query.where(sql<string>`r.registry_id || ''`, "=", registryId);
  if (path !== undefined) query = query.where("r.path", "=", path);
  if (digest !== undefined) query = query.where("m.digest", "=", digest);
  if (except !== undefined) query = query.where(isListed(except));
  if (after === undefined) return query;
  return query
    .where("r.path", ">=", after.path)
    .where((eb) => eb.or([eb("r.path", ">", after.path), eb("m.digest", ">", after.digest)]));
}

export async function images(db: CatalogDb, asked: ImagesQuery): Promise<ImageRow[]> {
  const rows = await imagesQuery(db, asked).execute();
  const tags = await tagsOfImages(
    db,
    rows.map(({ id }) => id),
  );
  return rows.map((row) => ({
    id: row.id,
    registryId: row.registry_id,
    serves: row.serves,
    repository: row.name as RepositoryName,
    digest: row.digest as Digest,
    mediaType: row.media_type,
    artifactType: row.artifact_type ?? undefined,
    heldAtMs: row.held_at_ms,
    pulls: row.pulls ?? 0,
    lastPulledAtMs: latest(row.last_pulled_at_ms, row.child_pulled_at_ms),
    tags: tags.get(row.id) ?? [],
  }));
}

function latest(one: number | null, other: number | null): number | undefined {
  if (one === null || other === null) return one ?? other ?? undefined;
  return Math.max(one, other);
}

interface TagRow {
  readonly image: number;
  readonly tag: string;
  readonly digest: string;
  readonly first_seen_at_ms: number;
  readonly confirmed_at_ms: number;
  readonly pulls: number | null;
  readonly last_pulled_at_ms: number | null;
}

/** By the image's id, in lexical order: those that point to it, to what it names, or to what refers to it. */
async function tagsOfImages(db: CatalogDb, ids: readonly number[]): Promise<ReadonlyMap<number, ImageTag[]>> {
  if (ids.length === 0) return new Map();
  const { rows } = await sql<TagRow>`
    with led (image, repository_id, digest) as (
      select id, repository_id, digest from manifests where id in (${sql.join(ids)})
      union
      select manifest_id, repository_id, digest from manifest_references
      where kind = 'manifest' and manifest_id in (${sql.join(ids)})
      union
      select m.id, s.repository_id, s.digest from manifests as m
      join manifests as s on s.repository_id = m.repository_id and s.subject = m.digest where m.id in (${sql.join(ids)})
    )
    select led.image, t.tag, t.digest, t.first_seen_at_ms, t.confirmed_at_ms, p.pulls, p.last_pulled_at_ms from led
    join tags as t on t.repository_id = led.repository_id and t.digest = led.digest
    left join tag_pulls as p on p.repository_id = t.repository_id and p.tag = t.tag
    order by led.image, t.tag limit ${TAGS_MAX}`.execute(db);
  return new Map([...Map.groupBy(rows, ({ image }) => image)].map(([image, tags]) => [image, tags.map(tagOf)]));
}

function tagOf(row: TagRow): ImageTag {
  return {
    tag: row.tag as Tag,
    digest: row.digest as Digest,
    firstSeenAtMs: row.first_seen_at_ms,
    confirmedAtMs: row.confirmed_at_ms,
    pulls: row.pulls ?? 0,
    lastPulledAtMs: row.last_pulled_at_ms ?? undefined,
  };
}

export async function imageChildren(db: CatalogDb, id: number): Promise<ImageChild[]> {
  const rows = await db
    .selectFrom("manifest_references as n")
    .leftJoin("manifests as c", (join) =>
      join.onRef("c.repository_id", "=", "n.repository_id").onRef("c.digest", "=", "n.digest"),
    )
    .select(["c.id", "n.digest", "n.platform"])
    .where("n.manifest_id", "=", id)
    .where("n.kind", "=", "manifest")
    .orderBy("n.platform")
    .orderBy("n.digest")
    .limit(REFERENCES_MAX)
    .execute();
  return rows.map((row) => ({
    id: row.id ?? undefined,
    digest: row.digest as Digest,
    platform: row.platform ?? undefined,
  }));
}

export async function pullersOf(
  db: CatalogDb,
  ids: readonly number[],
  limit: number,
): Promise<ReadonlyMap<number, Puller[]>> {
  if (ids.length === 0) return new Map();
  const rows = await db
    .selectFrom("pullers")
    .select(["manifest_id", "puller", "pulls", "last_pulled_at_ms"])
    .where("manifest_id", "in", ids)
    .orderBy("manifest_id")
    .orderBy("last_pulled_at_ms", "desc")
    .orderBy("puller")
    .execute();
  return new Map(
    [...Map.groupBy(rows, ({ manifest_id }) => manifest_id)].map(([id, pullers]) => [
      id,
      pullers
        .slice(0, limit)
        .map(({ puller, pulls, last_pulled_at_ms }) => ({ name: puller, pulls, lastPulledAtMs: last_pulled_at_ms })),
    ]),
  );
}
