import { setImmediate as otherWork } from "node:timers/promises";
import type { Logger } from "pino";
import type { Catalog, LooseQuery } from "../../catalog/catalog.ts";
import type { Pull } from "../../pull/pull.ts";
import type { Store, StoredBytes } from "../../store/store.ts";
import { type Evicted, evictedOf } from "./hands.ts";

/** Bytes that nobody links may be about to be linked; and a client pulls layers after what names them. */
export const NOBODYS_AFTER_MS = 60 * 60_000;
/** Where room is needed, blobs that no manifest names go so soon after their last use. */
const LOOSE_SPARED_MS = 60_000;
const PAGE = 100;

export interface TidyingOptions {
  readonly catalog: Pick<Catalog, "leavingBlob" | "looseBlobs" | "unheld">;
  readonly store: Pick<Store, "blobs">;
  readonly pull: Pick<Pull, "departures" | "isUnderWay" | "room">;
  readonly isCatalogWhole: () => boolean;
  readonly onEvicted: (evicted: Evicted) => void;
  readonly log: Pick<Logger, "info">;
}

/** What nobody has. */
export interface Nobodys {
  /** Bytes without a link, left by a crash, as of the last look. */
  readonly orphans: number;
  readonly orphanBytes: number;
}

export interface Tidied {
  readonly orphansRemoved: number;
  readonly orphanBytesRemoved: number;
  readonly looseRemoved: number;
}

/** Finds and removes what no image has: bytes without a link, and blobs that no held manifest of their repository names. */
export class Tidying {
  readonly #o: TidyingOptions;
  found: Nobodys = { orphans: 0, orphanBytes: 0 };

  constructor(options: TidyingOptions) {
    this.#o = options;
  }

  async run(signal: AbortSignal): Promise<Tidied> {
    const { removed, bytes } = await this.#removeOrphans(signal);
    const looseRemoved = await this.removeLoose(signal, async () => true, NOBODYS_AFTER_MS);
    if (removed > 0) this.#o.log.info({ blobs: removed, bytes }, "bytes that nothing leads to were removed");
    return { orphansRemoved: removed, orphanBytesRemoved: bytes, looseRemoved };
  }

  /** Looks only. */
  async look(signal: AbortSignal): Promise<Nobodys> {
    let [orphans, orphanBytes] = [0, 0];
    for await (const { size } of this.#orphans(signal)) {
      orphans += 1;
      orphanBytes += size;
    }
    this.#note({ orphans, orphanBytes });
    return this.found;
  }

  async #removeOrphans(signal: AbortSignal): Promise<{ removed: number; bytes: number }> {
    let [removed, bytes, orphans, orphanBytes] = [0, 0, 0, 0];
    for await (const one of this.#orphans(signal)) {
      const isOld = one.atMs < Date.now() - NOBODYS_AFTER_MS;
      if (isOld && !this.#o.pull.isUnderWay(one.digest) && (await this.#o.pull.departures.removeUnlinked(one.digest))) {
        removed += 1;
        bytes += one.size;
      } else {
        orphans += 1;
        orphanBytes += one.size;
      }
    }
    this.#note({ orphans, orphanBytes });
    return { removed, bytes };
  }

  #note(found: Nobodys): void {
    this.found = found;
    this.#o.pull.room.orphanBytes = found.orphanBytes;
  }

  /** Where the catalog lacks something, what has a link may look as if it had none. */
  async *#orphans(signal: AbortSignal): AsyncGenerator<StoredBytes, void, void> {
    if (!this.#o.isCatalogWhole()) return;
    for await (const page of pagesOf(this.#o.store.blobs())) {
      signal.throwIfAborted();
      const unheld = new Set(await this.#o.catalog.unheld(page.map(({ digest }) => digest)));
      yield* page.filter(({ digest }) => unheld.has(digest));
      await otherWork();
    }
  }

  /** Says how many it has removed while `isWanted`. */
  async removeLoose(
    signal: AbortSignal,
    isWanted: () => Promise<boolean>,
    sparedMs = LOOSE_SPARED_MS,
  ): Promise<number> {
    const { catalog, pull, onEvicted } = this.#o;
    let removed = 0;
    for (let after: LooseQuery["after"]; ;) {
      const { blobs, next } = await catalog.looseBlobs({ after, limit: PAGE });
      for (const { repository, digest, lastUsedAtMs } of blobs) {
        if (lastUsedAtMs > Date.now() - sparedMs || pull.isUnderWay(digest)) continue;
        if (!(await isWanted())) return removed;
        const find = async () => await catalog.leavingBlob(repository, digest);
        const departed = await pull.departures.remove(repository, find);
        if (departed === undefined || departed === "busy") continue;
        removed += 1;
        onEvicted(evictedOf(departed, "nobody's"));
      }
      await otherWork();
      signal.throwIfAborted();
      if (next === undefined) return removed;
      after = next;
    }
  }
}

async function* pagesOf(blobs: AsyncIterable<StoredBytes>): AsyncGenerator<StoredBytes[], void, void> {
  let page: StoredBytes[] = [];
  for await (const one of blobs) {
    page.push(one);
    if (page.length < PAGE) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}
