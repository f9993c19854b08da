import { inBatches, ROWS_PER_INSERT } from "./batches.ts";
import type { HeldBytes } from "./catalog.ts";
import type { CatalogDb, ContentTable } from "./schema.ts";

/** Stands for all registries together. */
export const ALL_REGISTRIES = "";

/** Some content that a repository has. */
export interface SizedContent {
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
}

/** Bytes held: each content once in all, and once for each registry that has it. */
export async function heldBytes(db: CatalogDb): Promise<HeldBytes> {
  const rows = await db.selectFrom("content_sizes").selectAll().execute();
  const byRegistry = new Map(rows.map((row) => [row.registry_id, { bytes: row.bytes, contents: row.contents }]));
  const all = byRegistry.get(ALL_REGISTRIES) ?? { bytes: 0, contents: 0 };
  byRegistry.delete(ALL_REGISTRIES);
  return { ...all, byRegistry };
}

/** In how many places a registry's repositories have the content, as blob or manifest. */
export async function linksTo(db: CatalogDb, digest: string, registryId: string = ALL_REGISTRIES): Promise<number> {
  const row = await db
    .selectFrom("contents")
    .select("links")
    .where("digest", "=", digest)
    .where("registry_id", "=", registryId)
    .executeTakeFirst();
  return row?.links ?? 0;
}

/** Rows of blobs or manifests were gained in one repository of a registry. */
export async function gainContents(db: CatalogDb, registryId: string, gained: readonly SizedContent[]): Promise<void> {
  await inBatches(gained, ROWS_PER_INSERT, async (piece) => {
    const before = await knownRows(db, piece, [ALL_REGISTRIES, registryId]);
    const rows = piece.flatMap(({ digest, size }) =>
      [ALL_REGISTRIES, registryId].map((registry_id) => ({ digest, registry_id, size, links: 1 })),
    );
    await db
      .insertInto("contents")
      .values(rows)
      .onConflict((conflict) =>
        conflict.columns(["digest", "registry_id"]).doUpdateSet((eb) => ({ links: eb("contents.links", "+", 1) })),
      )
      .execute();
    const known = new Set(before.map(keyOf));
    await addSizes(
      db,
      rows.filter((row) => !known.has(keyOf(row))),
    );
  });
}

/** The content is found to have another size than was thought, wherever it is. */
export async function resizeContents(db: CatalogDb, contents: readonly SizedContent[]): Promise<void> {
  await inBatches(contents, ROWS_PER_INSERT, async (piece) => {
    const sizes = new Map(piece.map(({ digest, size }) => [digest, size]));
    const others = (await knownRows(db, piece)).filter((row) => row.size !== sizes.get(row.digest));
    for (const { digest, registry_id, size: before } of others) {
      const size = sizes.get(digest) ?? before;
      await db
        .updateTable("contents")
        .set({ size })
        .where("digest", "=", digest)
        .where("registry_id", "=", registry_id)
        .execute();
      await addSizes(db, [{ registry_id, size: size - before }], 0);
    }
  });
}

/** Rows of blobs or manifests were lost in one repository of a registry; a digest that was lost as both stands there twice. */
export async function loseContents(db: CatalogDb, registryId: string, lost: readonly string[]): Promise<void> {
  const once = new Set<string>();
  const again = lost.filter((digest) => once.size === once.add(digest).size);
  await inBatches([...once], ROWS_PER_INSERT, async (piece) => await loseOnce(db, registryId, piece));
  if (again.length > 0) await loseContents(db, registryId, again);
}

async function loseOnce(db: CatalogDb, registryId: string, digests: readonly string[]): Promise<void> {
  const registries = [ALL_REGISTRIES, registryId];
  await db
    .updateTable("contents")
    .set((eb) => ({ links: eb("links", "-", 1) }))
    .where("digest", "in", digests)
    .where("registry_id", "in", registries)
    .execute();
  const gone = await db
    .deleteFrom("contents")
    .where("digest", "in", digests)
    .where("registry_id", "in", registries)
    .where("links", "<=", 0)
    .returning(["registry_id", "size"])
    .execute();
  await addSizes(
    db,
    gone.map(({ registry_id, size }) => ({ registry_id, size: -size })),
    -1,
  );
}

/** The repository belongs to another registry from now on: what it has counts there. */
export async function moveContents(db: CatalogDb, repositoryId: number, from: string, to: string): Promise<void> {
  for (const table of ["blobs", "manifests"] as const) {
    for (let last = ""; ;) {
      const rows = await db
        .selectFrom(table)
        .select(["digest", "size"])
        .where("repository_id", "=", repositoryId)
        .where("digest", ">", last)
        .orderBy("digest")
        .limit(ROWS_PER_INSERT)
        .execute();
      if (rows.length === 0) break;
      last = rows.at(-1)?.digest ?? "";
      await gainContents(db, to, rows);
      await loseContents(
        db,
        from,
        rows.map(({ digest }) => digest),
      );
    }
  }
}

async function knownRows(
  db: CatalogDb,
  contents: readonly SizedContent[],
  registries?: readonly string[],
): Promise<ContentTable[]> {
  const digests = contents.map(({ digest }) => digest);
  const query = db.selectFrom("contents").selectAll().where("digest", "in", digests);
  return await (registries === undefined ? query : query.where("registry_id", "in", registries)).execute();
}

/** Adds to what registries have, in bytes, and so many contents for each of the rows. */
async function addSizes(
  db: CatalogDb,
  rows: readonly { readonly registry_id: string; readonly size: number }[],
  contentsEach: -1 | 0 | 1 = 1,
): Promise<void> {
  for (const [registry_id, own] of Map.groupBy(rows, (row) => row.registry_id)) {
    const bytes = own.reduce((sum, { size }) => sum + size, 0);
    const contents = contentsEach * own.length;
    await db
      .insertInto("content_sizes")
      .values({ registry_id, bytes, contents })
      .onConflict((conflict) =>
        conflict.column("registry_id").doUpdateSet((eb) => ({
          bytes: eb("content_sizes.bytes", "+", bytes),
          contents: eb("content_sizes.contents", "+", contents),
        })),
      )
      .execute();
  }
}

function keyOf({ digest, registry_id }: Pick<ContentTable, "digest" | "registry_id">): string {
  return `${digest} ${registry_id}`;
}
