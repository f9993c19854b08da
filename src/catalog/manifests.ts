import type { Digest } from "../oci/digest.ts";
import { type Manifest, UNKNOWN_SIZE } from "../oci/manifest.ts";
import type { Repository } from "../oci/reference.ts";
import { repositoryPath } from "../oci/reference.ts";
import { inBatches, ROWS_PER_INSERT } from "./batches.ts";
import type { BlobRecord, HeldManifest, ManifestRecord } from "./catalog.ts";
import { gainContents, resizeContents } from "./contents.ts";
import { registryIdOf } from "./repositories.ts";
import { ledToBy, settleRoots } from "./roots.ts";
import type { CatalogDb, ReferenceTable } from "./schema.ts";

type ManifestFacts = Omit<ManifestRecord, "repository">;
type BlobFacts = Omit<BlobRecord, "repository">;

/**
 * Makes the manifest held. One that was held before keeps its age, its use and what it names (the digest fixes that);
 * who fetched it is who did so last, as in the store.
 */
export async function holdManifest(
  db: CatalogDb,
  repositoryId: number,
  facts: ManifestFacts,
  nowMs: number,
): Promise<void> {
  if (await insertManifest(db, repositoryId, facts, nowMs)) return;
  await db
    .updateTable("manifests")
    .set({ media_type: facts.manifest.mediaType, fetched_with: facts.fetchedWith ?? null, recorded_at_ms: nowMs })
    .where("repository_id", "=", repositoryId)
    .where("digest", "=", facts.digest)
    .execute();
}

/**
 * As `holdManifest`, but what it names is written anew. The media type stays: it may have come from the upstream's
 * headers, which the store does not keep.
 */
export async function rebuildManifest(
  db: CatalogDb,
  repositoryId: number,
  facts: ManifestFacts,
  nowMs: number,
): Promise<void> {
  if (await insertManifest(db, repositoryId, facts, nowMs)) return;
  const { id } = await db
    .updateTable("manifests")
    .set({
      size: facts.size,
      artifact_type: facts.manifest.artifactType ?? null,
      subject: facts.manifest.subject ?? null,
      fetched_with: facts.fetchedWith ?? null,
      recorded_at_ms: nowMs,
    })
    .where("repository_id", "=", repositoryId)
    .where("digest", "=", facts.digest)
    .returning("id")
    .executeTakeFirstOrThrow();
  await resizeContents(db, [facts]);
  const before = await ledToBy(db, repositoryId, [facts.digest]);
  await db.deleteFrom("manifest_references").where("manifest_id", "=", id).execute();
  await insertReferences(db, repositoryId, id, facts.manifest);
  const after = await ledToBy(db, repositoryId, [facts.digest]);
  await settleRoots(db, repositoryId, [facts.digest, ...before, ...after]);
}

/** False where it is held already. */
async function insertManifest(
  db: CatalogDb,
  repositoryId: number,
  facts: ManifestFacts,
  nowMs: number,
): Promise<boolean> {
  const inserted = await db
    .insertInto("manifests")
    .values({
      repository_id: repositoryId,
      digest: facts.digest,
      media_type: facts.manifest.mediaType,
      artifact_type: facts.manifest.artifactType ?? null,
      subject: facts.manifest.subject ?? null,
      size: facts.size,
      fetched_with: facts.fetchedWith ?? null,
      held_at_ms: facts.atMs,
      recorded_at_ms: nowMs,
      last_used_at_ms: facts.atMs,
    })
    .onConflict((conflict) => conflict.columns(["repository_id", "digest"]).doNothing())
    .returning("id")
    .executeTakeFirst();
  if (inserted === undefined) return false;
  await resizeContents(db, [facts]);
  await gainContents(db, await registryIdOf(db, repositoryId), [facts]);
  await insertReferences(db, repositoryId, inserted.id, facts.manifest);
  await settleRoots(db, repositoryId, [facts.digest, ...(await ledToBy(db, repositoryId, [facts.digest]))]);
  // A tag may have been recorded before its manifest.
  await db
    .updateTable("tags")
    .set({ manifest_id: inserted.id })
    .where("repository_id", "=", repositoryId)
    .where("digest", "=", facts.digest)
    .execute();
  return true;
}

/** Real images name dozens of things. What is beyond is not known to be named: upstream is asked for it. */
export const REFERENCES_MAX = 4_000;

async function insertReferences(
  db: CatalogDb,
  repositoryId: number,
  manifestId: number,
  manifest: Manifest,
): Promise<void> {
  const rows = referencesOf(manifest)
    .slice(0, REFERENCES_MAX)
    .map((named) => ({ manifest_id: manifestId, repository_id: repositoryId, ...named }));
  await inBatches(rows, ROWS_PER_INSERT, async (piece) => {
    await db.insertInto("manifest_references").values(piece).execute();
  });
}

const PLATFORM_LENGTH_MAX = 64;

type Named = Pick<ReferenceTable, "digest" | "kind" | "size" | "platform">;

/** Everything that a manifest names, each digest once; where it is named twice, a known size wins. */
function referencesOf(manifest: Manifest): Named[] {
  const found = new Map<Digest, Named>();
  for (const [kind, descriptors] of [
    ["manifest", manifest.manifests],
    ["blob", manifest.blobs],
  ] as const) {
    for (const { digest, size, ...said } of descriptors) {
      const platform = said.platform?.slice(0, PLATFORM_LENGTH_MAX) ?? null;
      const earlier = found.get(digest);
      if (earlier === undefined || earlier.size === UNKNOWN_SIZE) found.set(digest, { digest, kind, size, platform });
    }
  }
  return [...found.values()];
}

export async function findManifest(
  db: CatalogDb,
  repository: Repository,
  digest: Digest,
): Promise<HeldManifest | undefined> {
  const row = await db
    .selectFrom("manifests as m")
    .innerJoin("repositories as r", "r.id", "m.repository_id")
    .select(["m.media_type", "m.size", "m.fetched_with"])
    .where("r.path", "=", repositoryPath(repository))
    .where("m.digest", "=", digest)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return { mediaType: row.media_type, size: row.size, fetchedWith: row.fetched_with ?? undefined };
}

export async function findNamed(
  db: CatalogDb,
  repository: Repository,
  digest: Digest,
): Promise<{ size: number } | undefined> {
  const row = await namedByQuery(db, repository, digest).executeTakeFirst();
  return row === undefined ? undefined : { size: row.size };
}

/** A known size before UNKNOWN_SIZE, which is below all others. */
export function namedByQuery(db: CatalogDb, repository: Repository, digest: Digest) {
  return db
    .selectFrom("manifest_references as n")
    .innerJoin("repositories as r", "r.id", "n.repository_id")
    .select("n.size")
    .where("r.path", "=", repositoryPath(repository))
    .where("n.digest", "=", digest)
    .orderBy("n.size", "desc")
    .limit(1);
}

/** Two look-ups in an index by digest. */
export async function isOpenAt(db: CatalogDb, registryIds: readonly string[], digest: Digest): Promise<boolean> {
  const blob = await db
    .selectFrom("blobs as b")
    .innerJoin("repositories as r", "r.id", "b.repository_id")
    .select("r.id")
    .where("b.digest", "=", digest)
    .where("b.fetched_with", "is", null)
    .where("r.registry_id", "in", registryIds)
    .limit(1)
    .executeTakeFirst();
  if (blob !== undefined) return true;
  const manifest = await db
    .selectFrom("manifests as m")
    .innerJoin("repositories as r", "r.id", "m.repository_id")
    .select("r.id")
    .where("m.digest", "=", digest)
    .where("m.fetched_with", "is", null)
    .where("r.registry_id", "in", registryIds)
    .limit(1)
    .executeTakeFirst();
  return manifest !== undefined;
}

export async function isPrivate(db: CatalogDb, repository: Repository): Promise<boolean | undefined> {
  const held = (table: "blobs" | "manifests") =>
    db
      .selectFrom(table)
      .innerJoin("repositories as r", "r.id", `${table}.repository_id`)
      .select("r.id")
      .where("r.path", "=", repositoryPath(repository))
      .limit(1);
  for (const table of ["manifests", "blobs"] as const) {
    const row = await held(table).where(`${table}.fetched_with`, "is not", null).executeTakeFirst();
    if (row !== undefined) return true;
  }
  return (await held("manifests").executeTakeFirst()) === undefined ? undefined : false;
}

/** Makes blobs held; ones that were held before keep age and use. No digest may come twice. */
export async function holdBlobs(
  db: CatalogDb,
  repositoryId: number,
  blobs: readonly BlobFacts[],
  nowMs: number,
): Promise<void> {
  const registryId = await registryIdOf(db, repositoryId);
  await inBatches(blobs, ROWS_PER_INSERT, async (piece) => {
    const held = await heldBlobsQuery(db, repositoryId, piece).execute();
    const before = new Set(held.map(({ digest }) => digest));
    const rows = piece.map((blob) => ({
      repository_id: repositoryId,
      digest: blob.digest,
      size: blob.size,
      fetched_with: blob.fetchedWith ?? null,
      held_at_ms: blob.atMs,
      recorded_at_ms: nowMs,
      last_used_at_ms: blob.atMs,
    }));
    await db
      .insertInto("blobs")
      .values(rows)
      .onConflict((conflict) =>
        conflict.columns(["repository_id", "digest"]).doUpdateSet((eb) => ({
          size: eb.ref("excluded.size"),
          fetched_with: eb.ref("excluded.fetched_with"),
          recorded_at_ms: eb.ref("excluded.recorded_at_ms"),
        })),
      )
      .execute();
    await resizeContents(db, piece);
    await gainContents(
      db,
      registryId,
      piece.filter(({ digest }) => !before.has(digest)),
    );
  });
}

function heldBlobsQuery(db: CatalogDb, repositoryId: number, blobs: readonly BlobFacts[]) {
  return db
    .selectFrom("blobs")
    .select("digest")
    .where("repository_id", "=", repositoryId)
    .where(
      "digest",
      "in",
      blobs.map(({ digest }) => digest),
    );
}
