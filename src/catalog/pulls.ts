import { sql } from "kysely";
import { repositoryPath } from "../oci/reference.ts";
import { ROWS_PER_INSERT } from "./batches.ts";
import type { Pulled } from "./counting.ts";
import type { CatalogDb } from "./schema.ts";
import { repositoryIds } from "./use.ts";

/** Whoever has pulled an image last, so many are remembered of it. */
export const PULLERS_PER_IMAGE_MAX = 100;
/** Of all images together; who was there longest ago is forgotten first. */
export const PULLERS_MAX = 100_000;
/** Whoever is longer is cut: names of certificates may be of any length. */
const PULLER_LENGTH_MAX = 128;

export interface PullerLimits {
  readonly perImage: number;
  readonly all: number;
}

interface Sum {
  pulls: number;
  atMs: number;
}

/** At most `ROWS_PER_INSERT` at once. */
export async function notePulls(
  db: CatalogDb,
  pulled: readonly Pulled[],
  limits: PullerLimits = { perImage: PULLERS_PER_IMAGE_MAX, all: PULLERS_MAX },
): Promise<void> {
  const repositories = await repositoryIds(db, pulled);
  const manifests = await manifestIds(db, pulled, repositories);
  const images = new Map<number, Sum>();
  const pullers = new Map<string, Sum & { manifestId: number; puller: string }>();
  const tags = new Map<string, Sum & { repositoryId: number; tag: string }>();
  for (const { repository, digest, tag, puller: whole, pulls, atMs } of pulled) {
    const repositoryId = repositories.get(repositoryPath(repository));
    const manifestId = manifests.get(`${repositoryId} ${digest}`);
    if (repositoryId === undefined || manifestId === undefined) continue;
    const puller = whole.slice(0, PULLER_LENGTH_MAX);
    add(images, manifestId, { pulls, atMs });
    add(pullers, `${manifestId} ${puller}`, { manifestId, puller, pulls, atMs });
    if (tag !== undefined) add(tags, `${repositoryId} ${tag}`, { repositoryId, tag, pulls, atMs });
  }
  if (images.size === 0) return;
  await addToManifests(db, images);
  await addToTags(db, [...tags.values()]);
  await addToPullers(db, [...pullers.values()]);
  for (const manifestId of images.keys()) await forgetPullers(db, manifestId, limits.perImage);
  await forgetOldest(db, limits.all);
}

function add<K, S extends Sum>(sums: Map<K, S>, key: K, sum: S): void {
  const known = sums.get(key);
  if (known === undefined) return void sums.set(key, sum);
  known.pulls += sum.pulls;
  known.atMs = Math.max(known.atMs, sum.atMs);
}

/** By `<repository id> <digest>`. */
async function manifestIds(
  db: CatalogDb,
  pulled: readonly Pulled[],
  repositories: ReadonlyMap<string, number>,
): Promise<ReadonlyMap<string, number>> {
  const keys = new Map<string, ReturnType<typeof sql>>();
  for (const { repository, digest } of pulled) {
    const id = repositories.get(repositoryPath(repository));
    if (id !== undefined) keys.set(`${id} ${digest}`, sql`(${id}, ${digest})`);
  }
  if (keys.size === 0) return new Map();
  const { rows } = await sql<{ id: number; repository_id: number; digest: string }>`
    with pulled (repository_id, digest) as (values ${sql.join([...keys.values()])})
    select m.id, m.repository_id, m.digest from pulled
    join manifests as m on m.repository_id = pulled.repository_id and m.digest = pulled.digest`.execute(db);
  return new Map(rows.map(({ id, repository_id, digest }) => [`${repository_id} ${digest}`, id]));
}

async function addToManifests(db: CatalogDb, images: ReadonlyMap<number, Sum>): Promise<void> {
  await db
    .insertInto("manifest_pulls")
    .values([...images].map(([id, { pulls, atMs }]) => ({ manifest_id: id, pulls, last_pulled_at_ms: atMs })))
    .onConflict((conflict) => conflict.column("manifest_id").doUpdateSet(more("manifest_pulls")))
    .execute();
}

/** Of a row that is there, when further pulls come. */
function more(table: "manifest_pulls" | "tag_pulls" | "pullers") {
  const [pulls, last] = [sql.ref(`${table}.pulls`), sql.ref(`${table}.last_pulled_at_ms`)];
  return {
    pulls: sql<number>`${pulls} + excluded.pulls`,
    last_pulled_at_ms: sql<number>`case when ${last} > excluded.last_pulled_at_ms then ${last}
      else excluded.last_pulled_at_ms end`,
  };
}

/** A tag that is not there, since the catalog could not be told of it, is passed over. */
async function addToTags(db: CatalogDb, tags: readonly (Sum & { repositoryId: number; tag: string })[]): Promise<void> {
  if (tags.length === 0) return;
  const rows = sql.join(
    tags.map(({ repositoryId, tag, pulls, atMs }) => sql`(${repositoryId}, ${tag}, ${pulls}, ${atMs})`),
  );
  const { pulls: sum, last_pulled_at_ms: last } = more("tag_pulls");
  await sql`
    with pulled (repository_id, tag, pulls, at_ms) as (values ${rows})
    insert into tag_pulls (repository_id, tag, pulls, last_pulled_at_ms)
    select t.repository_id, t.tag, pulled.pulls, pulled.at_ms from pulled
    join tags as t on t.repository_id = pulled.repository_id and t.tag = pulled.tag where true
    on conflict (repository_id, tag) do update set pulls = ${sum}, last_pulled_at_ms = ${last}`.execute(db);
}

async function addToPullers(
  db: CatalogDb,
  pullers: readonly (Sum & { manifestId: number; puller: string })[],
): Promise<void> {
  await db
    .insertInto("pullers")
    .values(
      pullers.map(({ manifestId, puller, pulls, atMs }) => ({
        manifest_id: manifestId,
        puller,
        pulls,
        last_pulled_at_ms: atMs,
      })),
    )
    .onConflict((conflict) => conflict.columns(["manifest_id", "puller"]).doUpdateSet(more("pullers")))
    .execute();
}

async function forgetPullers(db: CatalogDb, manifestId: number, max: number): Promise<void> {
  const beyond = await db
    .selectFrom("pullers")
    .select("puller")
    .where("manifest_id", "=", manifestId)
    .orderBy("last_pulled_at_ms", "desc")
    .orderBy("puller")
    .offset(max)
    .limit(ROWS_PER_INSERT)
    .execute();
  if (beyond.length === 0) return;
  await db
    .deleteFrom("pullers")
    .where("manifest_id", "=", manifestId)
    .where(
      "puller",
      "in",
      beyond.map(({ puller }) => puller),
    )
    .execute();
}

async function forgetOldest(db: CatalogDb, max: number): Promise<void> {
  const { rows } = await db
    .selectFrom("pullers")
    .select((eb) => eb.fn.countAll<number>().as("rows"))
    .executeTakeFirstOrThrow();
  if (rows <= max) return;
  await sql`
    delete from pullers where (manifest_id, puller) in
    (select manifest_id, puller from pullers order by last_pulled_at_ms limit ${rows - max})`.execute(db);
}
