import type { Digest } from "../oci/digest.ts";
import { type Repository, repositoryPath, type Tag } from "../oci/reference.ts";
import { inBatches } from "./batches.ts";
import type * as catalog from "./catalog.ts";
import * as contents from "./contents.ts";
import { holdersOf } from "./holders.ts";
import * as evicting from "./evicting.ts";
import * as counters from "./counters.ts";
import type * as counting from "./counting.ts";
import * as imageQueries from "./image-queries.ts";
import type * as images from "./images.ts";
import * as inventory from "./inventory.ts";
import * as lists from "./lists.ts";
import * as imageSizes from "./image-sizes.ts";
import * as manifests from "./manifests.ts";
import * as pulls from "./pulls.ts";
import * as replace from "./replace.ts";
import { repositoryIdOf } from "./repositories.ts";
import type { CatalogDb } from "./schema.ts";
import * as tags from "./tags.ts";
import * as leading from "./leading.ts";
import * as use from "./use.ts";
import * as vanished from "./vanished.ts";

/** Uses or confirmations written in one transaction: about a millisecond, in which no socket is served. */
const NOTES_PER_TRANSACTION = 100;

const MS_PER_DAY = 24 * 60 * 60 * 1000;

export interface SqlCatalogOptions {
  /** Where questions go; may be `writes` itself. */
  readonly reads: CatalogDb;
  readonly writes: CatalogDb;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** The catalog over any SQL dialect that Kysely speaks; every record is one transaction. */
export class SqlCatalog implements catalog.Catalog {
  readonly #reads: CatalogDb;
  readonly #writes: CatalogDb;
  readonly #now: () => number;

  constructor(options: SqlCatalogOptions) {
    this.#reads = options.reads;
    this.#writes = options.writes;
    this.#now = options.now;
  }

  async recordManifest(record: catalog.ManifestRecord): Promise<void> {
    await this.#in(record.repository, async (db, id, nowMs) => await manifests.holdManifest(db, id, record, nowMs));
  }

  async manifest(repository: Repository, digest: Digest): Promise<catalog.HeldManifest | undefined> {
    return await manifests.findManifest(this.#reads, repository, digest);
  }

  async recordBlob(record: catalog.BlobRecord): Promise<void> {
    await this.#in(record.repository, async (db, id, nowMs) => await manifests.holdBlobs(db, id, [record], nowMs));
  }

  async namedBy(repository: Repository, digest: Digest): Promise<{ size: number } | undefined> {
    return await manifests.findNamed(this.#reads, repository, digest);
  }

  async isOpenAt(registryIds: readonly string[], digest: Digest): Promise<boolean> {
    return await manifests.isOpenAt(this.#reads, registryIds, digest);
  }

  async isPrivate(repository: Repository): Promise<boolean | undefined> {
    return await manifests.isPrivate(this.#reads, repository);
  }

  async recordTag(repository: Repository, tag: Tag, digest: Digest, atMs: number): Promise<void> {
    await this.#in(repository, async (db, id, nowMs) => await tags.pointTag(db, id, { tag, digest, atMs }, nowMs));
  }

  async confirmTags(confirmations: readonly catalog.TagConfirmation[]): Promise<void> {
    await inBatches(byRepository(confirmations), NOTES_PER_TRANSACTION, async (piece) => {
      await this.#transaction(async (db) => await use.confirmTags(db, piece, this.#now()));
    });
  }

  async vanishTag(repository: Repository, tag: Tag, atMs: number): Promise<void> {
    await this.#transaction(async (db) => await vanished.vanishTag(db, repository, tag, atMs, this.#now()));
  }

  async tag(repository: Repository, tag: Tag): Promise<catalog.HeldTag | undefined> {
    return await tags.findTag(this.#reads, repository, tag);
  }

  async tagsOf(repository: Repository, digest: Digest, kind: catalog.ContentKind): Promise<Tag[]> {
    return await leading.tagsOf(this.#reads, repository, digest, kind);
  }

  async tagHistory(repository: Repository, tag: Tag): Promise<catalog.TagSighting[]> {
    return await tags.tagHistory(this.#reads, repository, tag);
  }

  async firstSeen(repository: Repository, digest: Digest, kind: catalog.ContentKind): Promise<number | undefined> {
    return await leading.firstSeen(this.#reads, repository, digest, kind);
  }

  async touch(uses: readonly catalog.Use[]): Promise<void> {
    await inBatches(byRepository(uses), NOTES_PER_TRANSACTION, async (piece) => {
      await this.#transaction(async (db) => await use.touch(db, piece));
    });
  }

  async saveList(repository: Repository, kind: catalog.ListKind, key: string, list: catalog.SavedList): Promise<void> {
    if (Buffer.byteLength(list.body) > lists.LIST_BYTES_MAX) return;
    await this.#in(repository, async (db, id) => await lists.saveList(db, id, { kind, key }, list));
  }

  async list(repository: Repository, kind: catalog.ListKind, key: string): Promise<catalog.SavedList | undefined> {
    return await lists.findList(this.#reads, repository, kind, key);
  }

  async repositories(query: catalog.RepositoriesQuery): Promise<catalog.HeldRepository[]> {
    return await inventory.heldRepositories(this.#reads, query);
  }

  async countImages(): Promise<ReadonlyMap<string, number>> {
    return await inventory.countImages(this.#reads);
  }

  async inventory(query: catalog.RepositoriesQuery & { readonly registryId: string }): Promise<catalog.HeldTags[]> {
    return await inventory.inventory(this.#reads, query);
  }

  async heldBytes(): Promise<catalog.HeldBytes> {
    return await contents.heldBytes(this.#reads);
  }

  async linksTo(digest: Digest, registryId?: string): Promise<number> {
    return await contents.linksTo(this.#reads, digest, registryId);
  }

  async unheld(digests: readonly Digest[]): Promise<Digest[]> {
    return await contents.unheld(this.#reads, digests);
  }

  async leastUsed(query: catalog.LeastUsedQuery): Promise<catalog.HeldRoot[]> {
    return await evicting.leastUsed(this.#reads, query);
  }

  async rootsOf(repository: Repository, digest: Digest): Promise<Digest[]> {
    return await evicting.rootsOf(this.#reads, repository, digest);
  }

  async leaving(
    repository: Repository,
    root: Digest,
    without?: readonly Digest[],
  ): Promise<catalog.Leaving | undefined> {
    return await evicting.leaving(this.#reads, repository, root, without);
  }

  async looseBlobs(query: catalog.LooseQuery) {
    return await evicting.looseBlobs(this.#reads, query);
  }

  async leavingBlob(repository: Repository, digest: Digest): Promise<catalog.Leaving | undefined> {
    return await evicting.leavingBlob(this.#reads, repository, digest);
  }

  async forget(leaving: catalog.Leaving): Promise<void> {
    await this.#transaction(async (db) => await evicting.forget(db, leaving));
  }

  async holdersOf(digest: Digest): Promise<catalog.Holder[]> {
    return await holdersOf(this.#reads, digest);
  }

  async forgetBlob(digest: Digest): Promise<Repository[]> {
    return await evicting.forgetBlob(async (run) => await this.#transaction(run), digest);
  }

  async addCounts(counts: readonly counting.Count[]): Promise<void> {
    const today = Math.floor(this.#now() / MS_PER_DAY);
    await this.#transaction(async (db) => await counters.addCounts(db, counts, today));
  }

  async countsOfAllTime(): Promise<ReadonlyMap<string, counting.NamedCounts>> {
    return await counters.countsOfAllTime(this.#reads);
  }

  async countsByDay(days: { readonly from: number; readonly to: number }): Promise<counting.Count[]> {
    return await counters.countsByDay(this.#reads, days);
  }

  async notePulls(pulled: readonly counting.Pulled[]): Promise<void> {
    await inBatches(byRepository(pulled), NOTES_PER_TRANSACTION, async (piece) => {
      await this.#transaction(async (db) => await pulls.notePulls(db, piece));
    });
  }

  async images(query: images.ImagesQuery): Promise<images.ImageRow[]> {
    return await imageQueries.images(this.#reads, query);
  }

  async imageChildren(id: number): Promise<images.ImageChild[]> {
    return await imageQueries.imageChildren(this.#reads, id);
  }

  async imageSizes(ids: readonly number[]): Promise<ReadonlyMap<number, number>> {
    return await imageSizes.imageSizes(this.#reads, ids);
  }

  async imageGaps(ids: readonly number[]): Promise<ReadonlyMap<number, images.ImageGap>> {
    return await imageSizes.imageGaps(this.#reads, ids);
  }

  async pullersOf(ids: readonly number[], limit: number): Promise<ReadonlyMap<number, images.Puller[]>> {
    return await imageQueries.pullersOf(this.#reads, ids, limit);
  }

  async repositorySummaries(query: catalog.RepositoriesQuery): Promise<images.RepositoryRow[]> {
    return await imageSizes.repositorySummaries(this.#reads, query);
  }

  async replaceHeld(snapshot: AsyncIterable<catalog.HeldSnapshot>): Promise<void> {
    await replace.replaceHeld(this.#writes, snapshot, this.#now);
  }

  async isEmpty(): Promise<boolean> {
    return await replace.isEmpty(this.#reads);
  }

  async markInUse(): Promise<boolean> {
    return await this.#writes.transaction().execute(async (db) => await replace.markInUse(db, this.#now()));
  }

  async markSettled(): Promise<void> {
    await replace.markSettled(this.#writes);
  }

  /** Waits for the statements and transactions that were asked for before. */
  async close(): Promise<void> {
    await Promise.all([...new Set([this.#reads, this.#writes])].map(closeWhenIdle));
  }

  async #in(
    repository: Repository,
    run: (db: CatalogDb, repositoryId: number, nowMs: number) => Promise<void>,
  ): Promise<void> {
    await this.#transaction(async (db) => {
      const nowMs = this.#now();
      await run(db, await repositoryIdOf(db, repository, nowMs), nowMs);
    });
  }

  async #transaction(run: (db: CatalogDb) => Promise<void>): Promise<void> {
    await this.#writes.transaction().execute(run);
  }
}

/** Rows of one repository lie close together: in disorder each of them would dirty pages of its own. */
function byRepository<N extends { readonly repository: Repository }>(notes: readonly N[]): N[] {
  return [...Map.groupBy(notes, ({ repository }) => repositoryPath(repository)).values()].flat();
}

/** A connection serves one caller at a time, in order: whoever gets it now is the last one. */
async function closeWhenIdle(db: CatalogDb): Promise<void> {
  await db.connection().execute(async () => {});
  await db.destroy();
}
