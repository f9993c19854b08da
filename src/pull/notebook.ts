import type { Logger } from "pino";
import type { Catalog, TagConfirmation, Use } from "../catalog/catalog.ts";
import type { Digest } from "../oci/digest.ts";
import { type Repository, repositoryPath, type Tag } from "../oci/reference.ts";

/** How long facts wait in memory; a crash loses at most this much of them, and none of them is needed to serve. */
export const NOTEBOOK_FLUSH_MS = 5_000;
const NOTES_MAX = 50_000;

/** Where the notes are written. */
export type NotedCatalog = Pick<Catalog, "touch" | "confirmTags">;

/**
 * Last use and confirmations of tags, noted in memory on the hot path and written to the catalog in batches: a hit must
 * not touch SQL.
 */
export class Notebook {
  readonly #catalog: NotedCatalog;
  readonly #log: Pick<Logger, "error">;
  readonly #uses = new Map<string, Use>();
  readonly #confirmations = new Map<string, TagConfirmation>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(catalog: NotedCatalog, log: Pick<Logger, "error">) {
    this.#catalog = catalog;
    this.#log = log;
  }

  start(): void {
    this.#timer = setInterval(() => void this.flush(), NOTEBOOK_FLUSH_MS).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }

  used(repository: Repository, digest: Digest, tag?: Tag): void {
    const use = { repository, digest, atMs: Date.now() };
    this.note(tag === undefined ? use : { ...use, tag });
  }

  /** A use that was seen at its time, here or by another process. */
  note(use: Use): void {
    const { repository, digest, tag } = use;
    const key = `${repositoryPath(repository)}@${digest}:${tag ?? ""}`;
    note(this.#uses, key, use);
  }

  confirmed(repository: Repository, tag: Tag, digest: Digest, atMs: number): void {
    note(this.#confirmations, `${repositoryPath(repository)}:${tag}`, { repository, tag, digest, atMs });
  }

  /** Writes what was noted; one batch at a time. */
  async flush(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write());
    await this.#writing;
  }

  async #write(): Promise<void> {
    if (this.#uses.size + this.#confirmations.size === 0) return;
    const uses = [...this.#uses.values()];
    const confirmations = [...this.#confirmations.values()];
    this.#uses.clear();
    this.#confirmations.clear();
    try {
      await this.#catalog.touch(uses);
      await this.#catalog.confirmTags(confirmations);
    } catch (error) {
      this.#log.error({ err: error }, "last use could not be written to the catalog");
    }
  }
}

/** With the notebook full, what is new is dropped; what stands there already is still brought up to date. */
function note<T>(notes: Map<string, T>, key: string, fact: T): void {
  if (notes.size < NOTES_MAX || notes.has(key)) notes.set(key, fact);
}
