import { sql } from "kysely";
import type { Digest } from "../oci/digest.ts";
import type { Repository, RepositoryName, Tag } from "../oci/reference.ts";
import { otherWork } from "./batches.ts";
import type {
  HeldRoot,
  LeastUsedQuery,
  Leaving,
  LeavingContent,
  LooseBlob,
  LooseQuery,
  SizedDigest,
} from "./catalog.ts";
import { ALL_REGISTRIES } from "./contents.ts";
import { dropBlobs, dropManifests } from "./drop.ts";
import { namedManifestsQuery, referringQuery } from "./roots.ts";
import { repositoryIdIfHeld } from "./repositories.ts";
import type { CatalogDb } from "./schema.ts";
import { remember } from "./tags.ts";

/** An index, indexes in it, images, what refers to those. What lies deeper becomes a root of its own. */
const DEPTH_MAX = 4;
/** Manifests that leave in one step; what is beyond becomes a root of its own. */
export const LEAVING_MANIFESTS_MAX = 100;
/** Blobs that leave in one step; what is beyond is loose afterwards. */
export const LEAVING_BLOBS_MAX = 1_000;
/** More than any image has; pins are compared with all of them, and all of them go before the image does. */
const TAGS_MAX = 100_000;

/** The rows after the cursor, by last use; what no root is costs nothing. */
export function leastUsedQuery(db: CatalogDb, { after, limit }: LeastUsedQuery) {
  const query = db
    .selectFrom("manifests as m")
    .innerJoin("repositories as r", "r.id", "m.repository_id")
    .select(["m.id", "m.digest", "m.last_used_at_ms", "m.held_at_ms", "r.registry_id", "r.serves", "r.name"])
    .where("m.is_root", "=", sql.lit(1))
    .orderBy("m.last_used_at_ms")
    .orderBy("m.id")
    .limit(limit);
  if (after === undefined) return query;
  return query.where(sql<boolean>`(m.last_used_at_ms, m.id) > (${after.lastUsedAtMs}, ${after.id})`);
}

export async function leastUsed(db: CatalogDb, query: LeastUsedQuery): Promise<HeldRoot[]> {
  const rows = await leastUsedQuery(db, query).execute();
  return rows.map((row) => ({
    id: row.id,
    repository: { registryId: row.registry_id, serves: row.serves, name: row.name as RepositoryName },
    digest: row.digest as Digest,
    lastUsedAtMs: row.last_used_at_ms,
    heldAtMs: row.held_at_ms,
  }));
}

/** The roots by which the repository holds a manifest: itself, or those that lead to it. */
export async function rootsOf(db: CatalogDb, repository: Repository, digest: Digest): Promise<Digest[]> {
  const repositoryId = await repositoryIdIfHeld(db, repository);
  if (repositoryId === undefined) return [];
  const roots = new Set<Digest>();
  let level: string[] = [digest];
  for (let depth = 0; depth <= DEPTH_MAX && level.length > 0; depth += 1) {
    const held = await db
      .selectFrom("manifests")
      .select(["digest", "is_root", "subject"])
      .where("repository_id", "=", repositoryId)
      .where("digest", "in", level)
      .execute();
    for (const row of held) if (row.is_root === 1) roots.add(row.digest as Digest);
    const inner = held.filter((row) => row.is_root !== 1);
    const naming = await db
      .selectFrom("manifest_references as n")
      .innerJoin("manifests as m", "m.id", "n.manifest_id")
      .select("m.digest")
      .where("n.repository_id", "=", repositoryId)
      .where(
        "n.digest",
        "in",
        inner.map((row) => row.digest),
      )
      .where("n.kind", "=", "manifest")
      .limit(LEAVING_MANIFESTS_MAX)
      .execute();
    const subjects = inner.map(({ subject }) => subject).filter((subject) => subject !== null);
    level = [...new Set([...naming.map((row) => row.digest), ...subjects])].slice(0, LEAVING_MANIFESTS_MAX);
  }
  return [...roots];
}

/** What would go with a root: see `Catalog.leaving`. */
export async function leaving(
  db: CatalogDb,
  repository: Repository,
  root: Digest,
  without: readonly Digest[] = [],
): Promise<Leaving | undefined> {
  const repositoryId = await repositoryIdIfHeld(db, repository);
  if (repositoryId === undefined || without.includes(root)) return undefined;
  const held = await manifestsAt(db, repositoryId, [root]);
  if (held.length === 0) return undefined;
  const gone = without.length === 0 ? [] : (await manifestsAt(db, repositoryId, without)).map(({ id }) => id);
  const ledTo = (await ledToFrom(db, repositoryId, held)).filter(({ id }) => !gone.includes(id));
  const going = await withoutWanted(db, repositoryId, ledTo, gone);
  const ids = going.map(({ id }) => id);
  const blobs = ids.length === 0 ? [] : await leavingBlobsQuery(db, repositoryId, ids, gone).execute();
  const tags =
    ids.length === 0
      ? []
      : await db.selectFrom("tags").select("tag").where("manifest_id", "in", ids).limit(TAGS_MAX).execute();
  return {
    repository,
    root,
    manifests: going.map(sized),
    blobs: blobs.map(sized),
    tags: tags.map(({ tag }) => tag as Tag),
    contents: await leavingContents(db, repository, [...going, ...blobs]),
    lastUsedAtMs: Math.max(0, ...going.map((row) => row.last_used_at_ms), ...blobs.map((row) => row.last_used_at_ms)),
  };
}

interface ManifestRow {
  readonly id: number;
  readonly digest: string;
  readonly size: number;
  readonly last_used_at_ms: number;
}

async function manifestsAt(db: CatalogDb, repositoryId: number, digests: readonly string[]): Promise<ManifestRow[]> {
  return await db
    .selectFrom("manifests")
    .select(["id", "digest", "size", "last_used_at_ms"])
    .where("repository_id", "=", repositoryId)
    .where("digest", "in", digests)
    .execute();
}

/** The root first, then what it leads to, level by level. */
async function ledToFrom(db: CatalogDb, repositoryId: number, root: readonly ManifestRow[]): Promise<ManifestRow[]> {
  const found = new Map(root.map((row) => [row.digest, row]));
  let level = [...found.keys()];
  for (let depth = 0; depth < DEPTH_MAX && level.length > 0 && found.size < LEAVING_MANIFESTS_MAX; depth += 1) {
    const room = LEAVING_MANIFESTS_MAX - found.size;
    const named = await namedManifestsQuery(db, repositoryId, level).limit(LEAVING_MANIFESTS_MAX).execute();
    const referring = await referringQuery(db, repositoryId, level).limit(LEAVING_MANIFESTS_MAX).execute();
    const next = [...named, ...referring].map((row) => row.digest).filter((digest) => !found.has(digest));
    level = [...new Set(next)].slice(0, room);
    for (const row of level.length === 0 ? [] : await manifestsAt(db, repositoryId, level)) found.set(row.digest, row);
  }
  return [...found.values()];
}

/** Without those that something leads to which stays. */
async function withoutWanted(
  db: CatalogDb,
  repositoryId: number,
  rows: readonly ManifestRow[],
  gone: readonly number[],
): Promise<ManifestRow[]> {
  let going = [...rows];
  // Each round takes out at least one, and a level deeper than the last.
  for (let round = 0; round <= rows.length && going.length > 0; round += 1) {
    const ids = going.map(({ id }) => id);
    const wanted = await wantedQuery(db, repositoryId, ids, gone).execute();
    if (wanted.length === 0) return going;
    const staying = new Set(wanted.map(({ id }) => id));
    going = going.filter(({ id }) => !staying.has(id));
  }
  return going;
}

export function wantedQuery(db: CatalogDb, repositoryId: number, ids: readonly number[], gone: readonly number[] = []) {
  const out = [...ids, ...gone];
  return db
    .selectFrom("manifests as m")
    .select("m.id")
    .where("m.id", "in", ids)
    .where((eb) =>
      eb.or([
        eb.exists(
          eb
            .selectFrom("manifest_references as n")
            .select("n.digest")
            .where("n.repository_id", "=", repositoryId)
            .whereRef("n.digest", "=", "m.digest")
            .where("n.kind", "=", "manifest")
            .where("n.manifest_id", "not in", out),
        ),
        eb.exists(
          eb
            .selectFrom("manifests as s")
            .select("s.id")
            .where("s.repository_id", "=", repositoryId)
            .whereRef("s.digest", "=", "m.subject")
            .where("s.id", "not in", out),
        ),
      ]),
    );
}

/** Blobs of the repository that these manifests name, and no other one of it. */
export function leavingBlobsQuery(
  db: CatalogDb,
  repositoryId: number,
  ids: readonly number[],
  gone: readonly number[] = [],
) {
  return db
    .selectFrom("blobs as b")
    .select(["b.digest", "b.size", "b.last_used_at_ms"])
    .where("b.repository_id", "=", repositoryId)
    .where((eb) =>
      eb(
        "b.digest",
        "in",
        eb.selectFrom("manifest_references as n").select("n.digest").where("n.manifest_id", "in", ids),
      ),
    )
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom("manifest_references as o")
            .select("o.digest")
            .where("o.repository_id", "=", repositoryId)
            .whereRef("o.digest", "=", "b.digest")
            .where("o.manifest_id", "not in", [...ids, ...gone]),
        ),
      ),
    )
    .limit(LEAVING_BLOBS_MAX);
}

/** Where else it is held. A digest may leave as manifest and as blob. */
async function leavingContents(
  db: CatalogDb,
  { registryId }: Repository,
  going: readonly { readonly digest: string }[],
): Promise<LeavingContent[]> {
  const counts = new Map<string, number>();
  for (const { digest } of going) counts.set(digest, (counts.get(digest) ?? 0) + 1);
  const rows = await db
    .selectFrom("contents")
    .selectAll()
    .where("digest", "in", [...counts.keys()])
    .where("registry_id", "in", [ALL_REGISTRIES, registryId])
    .execute();
  const ofRegistry = new Map(
    rows.filter((row) => row.registry_id === registryId).map((row) => [row.digest, row.links]),
  );
  return rows
    .filter((row) => row.registry_id === ALL_REGISTRIES)
    .map((row) => ({
      ...sized(row),
      leaves: counts.get(row.digest) ?? 0,
      links: row.links,
      registryLinks: ofRegistry.get(row.digest) ?? 0,
    }));
}

/** Forgets what leaves, with its tags; where those pointed goes into their history. */
export async function forget(db: CatalogDb, { repository, manifests, blobs }: Leaving): Promise<void> {
  const repositoryId = await repositoryIdIfHeld(db, repository);
  if (repositoryId === undefined) return;
  const digests = manifests.map(({ digest }) => digest);
  const tags = await db
    .selectFrom("tags")
    .selectAll()
    .where("repository_id", "=", repositoryId)
    .where("digest", "in", digests)
    .execute();
  for (const tag of tags) await remember(db, tag);
  await db.deleteFrom("tags").where("repository_id", "=", repositoryId).where("digest", "in", digests).execute();
  await dropManifests(db, repositoryId, digests);
  await dropBlobs(
    db,
    repositoryId,
    blobs.map(({ digest }) => digest),
  );
}

/** Blobs that no held manifest of their repository names, in the order of the table: see `Catalog.looseBlobs`. */
export function looseBlobsQuery(db: CatalogDb, { after, limit }: LooseQuery) {
  const query = db
    .selectFrom((from) => {
      const rows = from.selectFrom("blobs").selectAll().orderBy("repository_id").orderBy("digest").limit(limit);
      if (after === undefined) return rows.as("b");
      return rows.where(sql<boolean>`(repository_id, digest) > (${after.repositoryId}, ${after.digest})`).as("b");
    })
    .innerJoin("repositories as r", "r.id", "b.repository_id")
    .select(["b.repository_id", "b.digest", "b.size", "b.last_used_at_ms", "r.registry_id", "r.serves", "r.name"])
    .select((eb) =>
      eb
        .exists(
          eb
            .selectFrom("manifest_references as n")
            .select("n.digest")
            .whereRef("n.repository_id", "=", "b.repository_id")
            .whereRef("n.digest", "=", "b.digest"),
        )
        .as("is_named"),
    );
  return query.orderBy("b.repository_id").orderBy("b.digest");
}

export async function looseBlobs(
  db: CatalogDb,
  query: LooseQuery,
): Promise<{ blobs: LooseBlob[]; next: LooseQuery["after"] }> {
  const rows = await looseBlobsQuery(db, query).execute();
  const last = rows.at(-1);
  const blobs = rows
    .filter(({ is_named }) => Number(is_named) === 0)
    .map((row) => ({
      repository: { registryId: row.registry_id, serves: row.serves, name: row.name as RepositoryName },
      digest: row.digest as Digest,
      size: row.size,
      lastUsedAtMs: row.last_used_at_ms,
    }));
  const next = last === undefined ? undefined : { repositoryId: last.repository_id, digest: last.digest as Digest };
  return { blobs, next: rows.length < query.limit ? undefined : next };
}

/** A loose blob, as something that leaves; undefined where it is held or named by now. */
export async function leavingBlob(db: CatalogDb, repository: Repository, digest: Digest): Promise<Leaving | undefined> {
  const repositoryId = await repositoryIdIfHeld(db, repository);
  if (repositoryId === undefined) return undefined;
  const row = await db
    .selectFrom("blobs as b")
    .select(["b.digest", "b.size", "b.last_used_at_ms"])
    .where("b.repository_id", "=", repositoryId)
    .where("b.digest", "=", digest)
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom("manifest_references as n")
            .select("n.digest")
            .where("n.repository_id", "=", repositoryId)
            .where("n.digest", "=", digest),
        ),
      ),
    )
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const blobs = [sized(row)];
  return {
    repository,
    root: undefined,
    manifests: [],
    blobs,
    tags: [],
    contents: await leavingContents(db, repository, blobs),
    lastUsedAtMs: row.last_used_at_ms,
  };
}

/** Repositories that have the content as a blob, so many at once. */
const HOLDERS_AT_ONCE = 100;

/** The bytes are gone: nobody has them as a blob any more. Says who had. */
export async function forgetBlob(
  inTransaction: (run: (db: CatalogDb) => Promise<void>) => Promise<void>,
  digest: Digest,
): Promise<Repository[]> {
  const holders: Repository[] = [];
  for (let found = HOLDERS_AT_ONCE; found === HOLDERS_AT_ONCE;) {
    await inTransaction(async (db) => {
      const rows = await db
        .selectFrom("blobs as b")
        .innerJoin("repositories as r", "r.id", "b.repository_id")
        .select(["r.id", "r.registry_id", "r.serves", "r.name"])
        .where("b.digest", "=", digest)
        .limit(HOLDERS_AT_ONCE)
        .execute();
      for (const row of rows) {
        await dropBlobs(db, row.id, [digest]);
        holders.push({ registryId: row.registry_id, serves: row.serves, name: row.name as RepositoryName });
      }
      found = rows.length;
    });
    await otherWork();
  }
  return holders;
}

function sized({ digest, size }: { readonly digest: string; readonly size: number }): SizedDigest {
  return { digest: digest as Digest, size };
}
