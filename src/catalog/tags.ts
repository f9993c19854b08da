import type { Digest } from "../oci/digest.ts";
import { type Repository, repositoryPath, type Tag } from "../oci/reference.ts";
import type { HeldTag, TagSighting } from "./catalog.ts";
import type { CatalogDb, TagTable } from "./schema.ts";
import { vanishedSince } from "./vanished.ts";

/** Earlier digests kept a tag; a tag that moves daily is remembered for over a year. */
export const TAG_HISTORY_ROWS_MAX = 400;

interface TagFacts {
  readonly tag: Tag;
  readonly digest: Digest;
  readonly atMs: number;
}

/** The tag points there now. Where it pointed elsewhere before, that goes into its history. */
export async function pointTag(db: CatalogDb, repositoryId: number, facts: TagFacts, nowMs: number): Promise<void> {
  const before = await db
    .selectFrom("tags")
    .selectAll()
    .where("repository_id", "=", repositoryId)
    .where("tag", "=", facts.tag)
    .executeTakeFirst();
  const manifestId = await manifestIdOf(db, repositoryId, facts.digest);
  if (before === undefined) return await insertTag(db, repositoryId, facts, manifestId, nowMs);
  const moved = before.digest !== facts.digest;
  if (moved) await remember(db, before);
  await db
    .updateTable("tags")
    .set({
      digest: facts.digest,
      manifest_id: manifestId,
      recorded_at_ms: nowMs,
      first_seen_at_ms: moved ? facts.atMs : before.first_seen_at_ms,
      confirmed_at_ms:
        moved || before.confirmed_at_ms > nowMs ? facts.atMs : Math.max(before.confirmed_at_ms, facts.atMs),
      vanished_at_ms: null,
    })
    .where("repository_id", "=", repositoryId)
    .where("tag", "=", facts.tag)
    .execute();
}

async function insertTag(
  db: CatalogDb,
  repositoryId: number,
  { tag, digest, atMs }: TagFacts,
  manifestId: number | null,
  nowMs: number,
): Promise<void> {
  await db
    .insertInto("tags")
    .values({
      repository_id: repositoryId,
      tag,
      digest,
      manifest_id: manifestId,
      first_seen_at_ms: atMs,
      confirmed_at_ms: atMs,
      recorded_at_ms: nowMs,
      last_used_at_ms: atMs,
      vanished_at_ms: null,
    })
    .execute();
}

async function manifestIdOf(db: CatalogDb, repositoryId: number, digest: Digest): Promise<number | null> {
  const row = await db
    .selectFrom("manifests")
    .select("id")
    .where("repository_id", "=", repositoryId)
    .where("digest", "=", digest)
    .executeTakeFirst();
  return row?.id ?? null;
}

/** Writes where a tag pointed into its history, and forgets the oldest of a history grown too long. */
export async function remember(db: CatalogDb, tag: TagTable): Promise<void> {
  const { repository_id, tag: name, digest, first_seen_at_ms, confirmed_at_ms, vanished_at_ms } = tag;
  await db
    .insertInto("tag_history")
    .values({ repository_id, tag: name, digest, first_seen_at_ms, confirmed_at_ms, vanished_at_ms })
    .execute();
  const beyond = await db
    .selectFrom("tag_history")
    .select("id")
    .where("repository_id", "=", repository_id)
    .where("tag", "=", name)
    .orderBy("id", "desc")
    .offset(TAG_HISTORY_ROWS_MAX)
    .limit(1)
    .executeTakeFirst();
  if (beyond === undefined) return;
  await db
    .deleteFrom("tag_history")
    .where("repository_id", "=", repository_id)
    .where("tag", "=", name)
    .where("id", "<=", beyond.id)
    .execute();
}

export async function findTag(db: CatalogDb, repository: Repository, tag: Tag): Promise<HeldTag | undefined> {
  const row = await db
    .selectFrom("tags as t")
    .innerJoin("repositories as r", "r.id", "t.repository_id")
    .select(["t.digest", "t.confirmed_at_ms", "t.vanished_at_ms"])
    .where("r.path", "=", repositoryPath(repository))
    .where("t.tag", "=", tag)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { digest, confirmed_at_ms: confirmedAtMs, vanished_at_ms: vanishedAtMs } = row;
  return { digest: digest as Digest, confirmedAtMs, ...vanishedSince(vanishedAtMs) };
}

/** Where the tag points and has pointed, the latest first. */
export async function tagHistory(db: CatalogDb, repository: Repository, tag: Tag): Promise<TagSighting[]> {
  const present = await db
    .selectFrom("tags as t")
    .innerJoin("repositories as r", "r.id", "t.repository_id")
    .select(["t.repository_id", "t.digest", "t.first_seen_at_ms", "t.confirmed_at_ms", "t.vanished_at_ms"])
    .where("r.path", "=", repositoryPath(repository))
    .where("t.tag", "=", tag)
    .executeTakeFirst();
  if (present === undefined) return [];
  const past = await db
    .selectFrom("tag_history as h")
    .select(["h.digest", "h.first_seen_at_ms", "h.confirmed_at_ms", "h.vanished_at_ms"])
    .where("h.repository_id", "=", present.repository_id)
    .where("h.tag", "=", tag)
    .orderBy("h.id", "desc")
    .limit(TAG_HISTORY_ROWS_MAX)
    .execute();
  return [present, ...past].map((row) => ({
    digest: row.digest as Digest,
    firstSeenAtMs: row.first_seen_at_ms,
    confirmedAtMs: row.confirmed_at_ms,
    ...vanishedSince(row.vanished_at_ms),
  }));
}
