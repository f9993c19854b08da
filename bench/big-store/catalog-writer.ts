import { DatabaseSync, type StatementSync } from "node:sqlite";
import { openSqliteCatalog } from "../../src/catalog/sqlite.ts";
import type { PlannedImage, PlannedRepository } from "./plan.ts";

/** When everything was held, milliseconds since the epoch. */
const HELD_AT_MS = Date.UTC(2025, 0, 1);
const DAY_MS = 24 * 60 * 60 * 1000;
/** Every so manyth tag has pointed elsewhere before, up to three times. */
const MOVED_EVERY = 2;

const USED = "recorded_at_ms, last_used_at_ms";
const HELD = `held_at_ms, ${USED}`;

type Row = "repository" | "manifest" | "reference" | "blob" | "tag" | "history";

/** Fills a catalog that the product has made, with the product's own tables, at a speed at which a million rows are no wait. */
export class CatalogWriter {
  readonly #database: DatabaseSync;
  readonly #indexes: readonly string[];
  readonly #insert: Readonly<Record<Row, StatementSync>>;
  #repositoryId = 0;
  #manifestId = 0;
  #tags = 0;

  static async open(path: string): Promise<CatalogWriter> {
    await (await openSqliteCatalog(path)).close();
    return new CatalogWriter(path);
  }

  private constructor(path: string) {
    this.#database = new DatabaseSync(path);
    for (const pragma of ["journal_mode = off", "synchronous = off", "cache_size = -200000"]) {
      this.#database.exec(`pragma ${pragma}`);
    }
    // Made anew at the end: sorted at once instead of a million times in disorder.
    const indexes = this.#database.prepare("select name, sql from sqlite_master where type = 'index' and sql not null");
    this.#indexes = indexes.all().map(({ name, sql }) => {
      this.#database.exec(`drop index "${String(name)}"`);
      return String(sql);
    });
    const into = (table: string, columns: string) => {
      const values = columns.split(",").map(() => "?");
      return this.#database.prepare(`insert into ${table} (${columns}) values (${values.join()})`);
    };
    this.#insert = {
      repository: into("repositories", "id, path, registry_id, serves, name, recorded_at_ms"),
      manifest: into("manifests", `id, repository_id, digest, media_type, size, ${HELD}`),
      reference: into("manifest_references", "manifest_id, digest, repository_id, kind, size"),
      blob: into("blobs", `repository_id, digest, size, ${HELD}`),
      tag: into("tags", `repository_id, tag, digest, manifest_id, first_seen_at_ms, confirmed_at_ms, ${USED}`),
      history: into("tag_history", "repository_id, tag, digest, first_seen_at_ms, confirmed_at_ms"),
    };
    this.#database.exec("begin");
  }

  beginRepository({ path, registryId, serves, name }: PlannedRepository): void {
    this.#repositoryId += 1;
    this.#insert.repository.run(this.#repositoryId, path, registryId, serves, name, HELD_AT_MS);
  }

  addImage({ tags, manifests, blobs }: PlannedImage): void {
    const repositoryId = this.#repositoryId;
    const firstId = this.#manifestId + 1;
    for (const { digest, mediaType, size, names } of manifests) {
      const id = (this.#manifestId += 1);
      this.#insert.manifest.run(id, repositoryId, digest, mediaType, size, HELD_AT_MS, HELD_AT_MS, HELD_AT_MS);
      for (const named of names) this.#insert.reference.run(id, named.digest, repositoryId, named.kind, named.size);
    }
    for (const { digest, size } of blobs) {
      this.#insert.blob.run(repositoryId, digest, size, HELD_AT_MS, HELD_AT_MS, HELD_AT_MS);
    }
    const target = manifests[0]?.digest ?? "";
    for (const tag of tags) this.#tag(tag, target, firstId);
  }

  #tag(tag: string, digest: string, manifestId: number): void {
    const repositoryId = this.#repositoryId;
    this.#insert.tag.run(repositoryId, tag, digest, manifestId, HELD_AT_MS, HELD_AT_MS, HELD_AT_MS, HELD_AT_MS);
    this.#tags += 1;
    const moves = this.#tags % MOVED_EVERY === 0 ? 1 + (this.#tags % 3) : 0;
    for (let move = moves; move > 0; move -= 1) {
      const earlier = `sha256:${String(this.#tags).padStart(48, "0")}${String(move).padStart(16, "0")}`;
      const atMs = HELD_AT_MS - move * DAY_MS;
      this.#insert.history.run(repositoryId, tag, earlier, atMs, atMs);
    }
  }

  finish(): void {
    this.#database.exec("commit");
    for (const index of this.#indexes) this.#database.exec(index);
    this.#database.exec("pragma journal_mode = wal");
    this.#database.close();
  }
}
