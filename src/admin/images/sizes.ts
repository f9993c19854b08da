import { setImmediate as otherWork } from "node:timers/promises";
import { LRUCache } from "lru-cache";
import type { ImageCatalog } from "../../catalog/images.ts";

/** Images in one question: a few milliseconds, in which no socket is served. */
const SIZES_PER_QUERY = 20;
/** A list by size asks for those of all images, and for the next page again. */
const KEPT_MS = 30_000;
const KEPT_MAX = 50_000;

/** Sizes of images, asked for in pieces. */
export class Sizes {
  readonly #catalog: Pick<ImageCatalog, "imageSizes">;
  readonly #kept = new LRUCache<number, number>({ maxSize: KEPT_MAX, sizeCalculation: () => 1, ttl: KEPT_MS });

  constructor(catalog: Pick<ImageCatalog, "imageSizes">) {
    this.#catalog = catalog;
  }

  /** By the ids of manifests; as they are now. */
  async now(ids: readonly number[]): Promise<Map<number, number>> {
    const sizes = new Map<number, number>();
    for (let at = 0; at < ids.length; at += SIZES_PER_QUERY) {
      if (at > 0) await otherWork();
      const found = await this.#catalog.imageSizes(ids.slice(at, at + SIZES_PER_QUERY));
      for (const [id, size] of found) sizes.set(id, size);
    }
    for (const [id, size] of sizes) this.#kept.set(id, size);
    return sizes;
  }

  /** As they were lately. */
  async lately(ids: readonly number[]): Promise<Map<number, number>> {
    const unknown = ids.filter((id) => !this.#kept.has(id));
    const asked = await this.now(unknown);
    return new Map(ids.map((id) => [id, asked.get(id) ?? this.#kept.get(id) ?? 0]));
  }
}
