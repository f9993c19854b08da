import type { Digest } from "../oci/digest.ts";
import { type Repository, repositoryPath, type Tag } from "../oci/reference.ts";
import type { CatalogDb } from "./schema.ts";

/** A blob, its manifest, an index, an index of indexes: nobody nests deeper. */
const DEPTH_MAX = 4;
/** A layer that thousands of tags share is led to by all of them; so many are enough to find one that may be pulled. */
export const TAGS_OF_MAX = 1_000;

/** Tags of the repository that lead to the digest, or did: by themselves, by an index, by a manifest that names it. */
export async function tagsOf(db: CatalogDb, repository: Repository, digest: Digest): Promise<Tag[]> {
  const id = await idOf(db, repository);
  if (id === undefined) return [];
  const rows = await leadingTo(db, id, digest)
    .selectFrom("tags as t")
    .select("t.tag")
    .where("t.repository_id", "=", id)
    .where("t.digest", "in", (eb) => eb.selectFrom("leading").select("leading.digest"))
    .union((eb) =>
      eb
        .selectFrom("tag_history as h")
        .select("h.tag")
        .where("h.repository_id", "=", id)
        .where("h.digest", "in", (inner) => inner.selectFrom("leading").select("leading.digest")),
    )
    .limit(TAGS_OF_MAX)
    .execute();
  return rows.map(({ tag }) => tag as Tag);
}

/** When the repository was first seen to have the digest, or something that leads to it: a manifest, or where a tag points. */
export async function firstSeen(db: CatalogDb, repository: Repository, digest: Digest): Promise<number | undefined> {
  const id = await idOf(db, repository);
  if (id === undefined) return undefined;
  const row = await leadingTo(db, id, digest)
    .selectFrom((from) =>
      from
        .selectFrom("manifests as m")
        .select("m.held_at_ms as at_ms")
        .where("m.repository_id", "=", id)
        .where("m.digest", "in", (eb) => eb.selectFrom("leading").select("leading.digest"))
        .unionAll((eb) =>
          eb
            .selectFrom("tags as t")
            .select("t.first_seen_at_ms as at_ms")
            .where("t.repository_id", "=", id)
            .where("t.digest", "in", (inner) => inner.selectFrom("leading").select("leading.digest")),
        )
        .unionAll((eb) =>
          eb
            .selectFrom("tag_history as h")
            .select("h.first_seen_at_ms as at_ms")
            .where("h.repository_id", "=", id)
            .where("h.digest", "in", (inner) => inner.selectFrom("leading").select("leading.digest")),
        )
        .as("seen"),
    )
    .select((eb) => eb.fn.min<number | null>("seen.at_ms").as("at_ms"))
    .executeTakeFirst();
  return row?.at_ms ?? undefined;
}

/** `leading`: the digest itself, the manifests that name it, the indexes that name those. */
function leadingTo(db: CatalogDb, repositoryId: number, digest: Digest) {
  return db.withRecursive("leading(digest, depth)", (ctes) =>
    ctes
      .selectFrom("repositories as r")
      .select((eb) => [eb.val<string>(digest).as("digest"), eb.val(0).as("depth")])
      .where("r.id", "=", repositoryId)
      .union(
        ctes
          .selectFrom("leading as l")
          .innerJoin("manifest_references as n", "n.digest", "l.digest")
          .innerJoin("manifests as m", "m.id", "n.manifest_id")
          .select((eb) => ["m.digest", eb("l.depth", "+", 1).as("depth")])
          .where("n.repository_id", "=", repositoryId)
          .where("l.depth", "<", DEPTH_MAX),
      ),
  );
}

async function idOf(db: CatalogDb, repository: Repository): Promise<number | undefined> {
  const row = await db
    .selectFrom("repositories")
    .select("id")
    .where("path", "=", repositoryPath(repository))
    .executeTakeFirst();
  return row?.id;
}
