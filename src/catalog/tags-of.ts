import type { Digest } from "../oci/digest.ts";
import { type Repository, repositoryPath, type Tag } from "../oci/reference.ts";
import type { CatalogDb } from "./schema.ts";

/** A blob, its manifest, an index, an index of indexes: nobody nests deeper. */
const DEPTH_MAX = 4;
/** A layer that thousands of tags share is led to by all of them; so many are enough to find one that may be pulled. */
export const TAGS_OF_MAX = 1_000;

/** Tags of the repository that lead to the digest, or did: by themselves, by an index, by a manifest that names it. */
export async function tagsOf(db: CatalogDb, repository: Repository, digest: Digest): Promise<Tag[]> {
  const row = await db
    .selectFrom("repositories")
    .select("id")
    .where("path", "=", repositoryPath(repository))
    .executeTakeFirst();
  if (row === undefined) return [];
  const rows = await db
    .withRecursive("leading(digest, depth)", (ctes) =>
      ctes
        .selectFrom("repositories as r")
        .select((eb) => [eb.val<string>(digest).as("digest"), eb.val(0).as("depth")])
        .where("r.id", "=", row.id)
        .union(
          ctes
            .selectFrom("leading as l")
            .innerJoin("manifest_references as n", "n.digest", "l.digest")
            .innerJoin("manifests as m", "m.id", "n.manifest_id")
            .select((eb) => ["m.digest", eb("l.depth", "+", 1).as("depth")])
            .where("n.repository_id", "=", row.id)
            .where("l.depth", "<", DEPTH_MAX),
        ),
    )
    .selectFrom("tags as t")
    .select("t.tag")
    .where("t.repository_id", "=", row.id)
    .where("t.digest", "in", (eb) => eb.selectFrom("leading").select("leading.digest"))
    .union((eb) =>
      eb
        .selectFrom("tag_history as h")
        .select("h.tag")
        .where("h.repository_id", "=", row.id)
        .where("h.digest", "in", (inner) => inner.selectFrom("leading").select("leading.digest")),
    )
    .limit(TAGS_OF_MAX)
    .execute();
  return rows.map(({ tag }) => tag as Tag);
}
