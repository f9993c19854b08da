import type { Digest } from "../oci/digest.ts";
import type { Repository, Tag } from "../oci/reference.ts";
import type { ContentKind } from "./catalog.ts";
import { repositoryIdIfHeld } from "./repositories.ts";
import type { CatalogDb } from "./schema.ts";

/** A blob, its manifest, an index, an index of indexes: nobody nests deeper. */
const DEPTH_MAX = 4;
/**
 * Of what names a digest so many rows are read, on each level, and as many of where tags point: a base layer may be in all images of a
 * repository, and the process does nothing else meanwhile. What is beyond counts for nothing.
 */
export const LEADING_MAX = 1_000;
/** A layer that thousands of tags share is led to by all of them; so many are enough to find one that may be pulled. */
export const TAGS_OF_MAX = 1_000;

/** Tags of the repository that lead to the digest, or did: by themselves, by an index, by a manifest that names it. */
export async function tagsOf(db: CatalogDb, repository: Repository, digest: Digest, kind: ContentKind): Promise<Tag[]> {
  const id = await repositoryIdIfHeld(db, repository);
  const leading = id === undefined ? [] : await leadingTo(db, id, digest, kind);
  if (id === undefined || leading.length === 0) return [];
  const present = await leadingTagsQuery(db, "tags", id, leading).execute();
  const past = await leadingTagsQuery(db, "tag_history", id, leading).execute();
  return [...new Set([...present, ...past].map(({ tag }) => tag as Tag))].slice(0, TAGS_OF_MAX);
}

/**
 * When the repository was first seen to have the digest, or something that leads to it: a manifest, or where a tag points. Where more leads
 * to it than is looked at, the earliest of what was.
 */
export async function firstSeen(
  db: CatalogDb,
  repository: Repository,
  digest: Digest,
  kind: ContentKind,
): Promise<number | undefined> {
  const id = await repositoryIdIfHeld(db, repository);
  const leading = id === undefined ? [] : await leadingTo(db, id, digest, kind);
  if (id === undefined || leading.length === 0) return undefined;
  const times: number[] = [];
  for (const query of seenQueries(db, id, leading)) {
    const row = await query.executeTakeFirst();
    if (row !== undefined && row.at_ms !== null) times.push(row.at_ms);
  }
  return times.length === 0 ? undefined : Math.min(...times);
}

/**
 * The manifest itself, or the manifests that name the blob; and the indexes that name those. As what something is named matters: else a
 * manifest would be as old as a note that has its digest for a layer.
 */
async function leadingTo(db: CatalogDb, repositoryId: number, digest: Digest, kind: ContentKind): Promise<string[]> {
  const found = new Set<string>(kind === "manifest" ? [digest] : []);
  let level: string[] = [digest];
  let as = kind;
  for (let depth = 0; depth < DEPTH_MAX && level.length > 0; depth += 1) {
    const naming = await namingQuery(db, repositoryId, level).execute();
    const wanted = naming.filter((row) => row.kind === as && !found.has(row.digest));
    level = [...new Set(wanted.map((row) => row.digest))];
    for (const one of level) found.add(one);
    as = "manifest";
  }
  return [...found];
}

/** Of either kind: what is bounded is what is read, not what is found. */
export function namingQuery(db: CatalogDb, repositoryId: number, digests: readonly string[]) {
  return db
    .selectFrom("manifest_references as n")
    .innerJoin("manifests as m", "m.id", "n.manifest_id")
    .select(["m.digest", "n.kind"])
    .where("n.repository_id", "=", repositoryId)
    .where("n.digest", "in", digests)
    .limit(LEADING_MAX);
}

export function leadingTagsQuery(
  db: CatalogDb,
  table: "tags" | "tag_history",
  repositoryId: number,
  leading: readonly string[],
) {
  return db
    .selectFrom((from) =>
      from
        .selectFrom(table)
        .select("tag")
        .where("repository_id", "=", repositoryId)
        .where("digest", "in", leading)
        .limit(LEADING_MAX)
        .as("l"),
    )
    .select("l.tag")
    .distinct()
    .limit(TAGS_OF_MAX);
}

/** When manifests became held, since when tags point to them, since when tags pointed to them. */
export function seenQueries(db: CatalogDb, repositoryId: number, leading: readonly string[]) {
  const held = db
    .selectFrom("manifests")
    .select("held_at_ms as at_ms")
    .where("repository_id", "=", repositoryId)
    .where("digest", "in", leading);
  const pointedTo = (table: "tags" | "tag_history") =>
    db
      .selectFrom(table)
      .select("first_seen_at_ms as at_ms")
      .where("repository_id", "=", repositoryId)
      .where("digest", "in", leading)
      .limit(LEADING_MAX);
  return [held, pointedTo("tags"), pointedTo("tag_history")].map((query) =>
    db.selectFrom(query.as("seen")).select((eb) => eb.fn.min<number | null>("seen.at_ms").as("at_ms")),
  );
}
