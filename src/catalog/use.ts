import { sql } from "kysely";
import type { Digest } from "../oci/digest.ts";
import { repositoryPath, type Repository } from "../oci/reference.ts";
import { inBatches, ROWS_PER_INSERT } from "./batches.ts";
import type { TagConfirmation, Use } from "./catalog.ts";
import type { CatalogDb } from "./schema.ts";
import { leadingUses } from "./use-leading.ts";

/** A row's key below its repository, and the time that it shall have at least. */
interface Stamp {
  readonly repositoryId: number;
  readonly key: string;
  /** What was used, or where the tag points. */
  readonly digest: string;
  readonly atMs: number;
}

/** Moves last use forward, never back; what is not there is passed over. What leads to what was used is used with it. */
export async function touch(db: CatalogDb, uses: readonly Use[]): Promise<void> {
  const ids = await repositoryIds(db, uses);
  const contents = stampsOf(uses, ids, ({ digest }) => digest);
  const tags = stampsOf(uses, ids, ({ tag }) => tag);
  // A digest is rarely both in one repository; where it is, both were used.
  await move(db, "manifests.digest", "last_used_at_ms", contents);
  await move(db, "blobs.digest", "last_used_at_ms", contents);
  await move(db, "tags.tag", "last_used_at_ms", tags);
  const leading = await leadingUses(
    db,
    contents.map(({ repositoryId, digest, atMs }) => ({ repositoryId, digest, atMs })),
  );
  const youngest = latest(leading.map((use) => ({ ...use, key: use.digest })));
  await inBatches(youngest, ROWS_PER_INSERT, async (piece) => {
    await move(db, "manifests.digest", "last_used_at_ms", piece);
  });
}

/**
 * Moves confirmations forward, and back only from a future that a wrong clock has written: when that comes true, the tag
 * would be taken for fresh. Tags that are not there, or point elsewhere, are passed over.
 */
export async function confirmTags(
  db: CatalogDb,
  confirmations: readonly TagConfirmation[],
  nowMs: number,
): Promise<void> {
  const ids = await repositoryIds(db, confirmations);
  const tags = stampsOf(confirmations, ids, ({ tag }) => tag);
  await move(db, "tags.tag", "confirmed_at_ms", tags, nowMs);
}

/** By path; of those that have a row. */
export async function repositoryIds(
  db: CatalogDb,
  notes: readonly { readonly repository: Repository }[],
): Promise<ReadonlyMap<string, number>> {
  const paths = new Set(notes.map(({ repository }) => repositoryPath(repository)));
  const rows = await db
    .selectFrom("repositories")
    .select(["id", "path"])
    .where("path", "in", [...paths])
    .execute();
  return new Map(rows.map(({ id, path }) => [path, id]));
}

/** Each row once, with its latest time. */
function stampsOf<N extends { readonly repository: Repository; readonly digest: Digest; readonly atMs: number }>(
  notes: readonly N[],
  ids: ReadonlyMap<string, number>,
  keyOf: (note: N) => string | undefined,
): readonly Stamp[] {
  const stamps: Stamp[] = [];
  for (const note of notes) {
    const [repositoryId, key] = [ids.get(repositoryPath(note.repository)), keyOf(note)];
    if (repositoryId === undefined || key === undefined) continue;
    stamps.push({ repositoryId, key, digest: note.digest, atMs: note.atMs });
  }
  return latest(stamps);
}

function latest(stamps: readonly Stamp[]): readonly Stamp[] {
  const found = new Map<string, Stamp>();
  for (const stamp of stamps) {
    const row = `${stamp.repositoryId} ${stamp.key}`;
    const known = found.get(row);
    if (known === undefined || known.atMs < stamp.atMs) found.set(row, stamp);
  }
  return [...found.values()];
}

/** What upstream has said after the confirmation, which may have waited in a notebook, stands. */
function stillVanished(nowMs: number) {
  const at = sql.ref("tags.vanished_at_ms");
  return sql`case when ${at} > stamps.at_ms and ${at} <= ${nowMs} then ${at} end`;
}

/** One statement for all: one for each row costs ten times as much, with every socket waiting meanwhile. */
async function move(
  db: CatalogDb,
  keyColumn: "manifests.digest" | "blobs.digest" | "tags.tag",
  timeColumn: "last_used_at_ms" | "confirmed_at_ms",
  stamps: readonly Stamp[],
  nowMs?: number,
): Promise<void> {
  if (stamps.length === 0) return;
  const [table = ""] = keyColumn.split(".");
  const rows = sql.join(
    stamps.map(({ repositoryId, key, digest, atMs }) => sql`(${repositoryId}, ${key}, ${digest}, ${atMs})`),
  );
  const time = sql.ref(`${table}.${timeColumn}`);
  const recorded =
    nowMs === undefined ? sql`` : sql`, recorded_at_ms = ${nowMs}, vanished_at_ms = ${stillVanished(nowMs)}`;
  const fromFuture = nowMs === undefined ? sql`` : sql` or ${time} > ${nowMs}`;
  // A use counts wherever the tag points by now, a confirmation does not.
  const thatOne = nowMs === undefined ? sql`` : sql` and ${sql.ref(`${table}.digest`)} = stamps.digest`;
  await sql`
    with stamps (repository_id, key, digest, at_ms) as (values ${rows})
    update ${sql.table(table)} set ${sql.ref(timeColumn)} = stamps.at_ms${recorded} from stamps
    where ${sql.ref(`${table}.repository_id`)} = stamps.repository_id and ${sql.ref(keyColumn)} = stamps.key
      and (${time} < stamps.at_ms${fromFuture})${thatOne}`.execute(db);
}
