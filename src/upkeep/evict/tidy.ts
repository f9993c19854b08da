import { setImmediate as otherWork } from "node:timers/promises";
import type { Logger } from "pino";
import type { Catalog, LooseBlob, LooseQuery } from "../../catalog/catalog.ts";
import type { Repository } from "../../oci/reference.ts";
import type { Pull } from "../../pull/pull.ts";
import type { Shortage } from "../../pull/room.ts";
import type { Store, StoredBytes } from "../../store/store.ts";
import type { Hand } from "./clear.ts";
import { type Evicted, evictedOf } from "./hands.ts";

/** Bytes that nobody links may be about to be linked; and a client pulls layers after what names them. */
export const NOBODYS_AFTER_MS = 60 * 60_000;
/**
 * Where room is needed, blobs that no manifest names go before any image when they were not used for so long: who pulls an image that
 * was evicted meanwhile has all of it by then;
 */
const LOOSE_SPARED_MS = 5 * 60_000;
/** and after all images when they were not used for so long. */
const LOOSE_SPARED_LAST_MS = 60_000;
const ORPHAN_SPARED_MS = 10 * 60_000;
/** Where all was looked at and it was not enough, it is not looked at again for each fill that needs room. */
const REST_MS = 60_000;
const PAGE = 100;

export interface TidyingOptions {
  readonly catalog: Pick<Catalog, "leavingBlob" | "looseBlobs" | "unheld">;
  readonly store: Pick<Store, "blobs">;
  readonly pull: Pick<Pull, "departures" | "isUnderWay" | "room">;
  readonly isCatalogWhole: () => boolean;
  readonly onEvicted: (evicted: Evicted) => void;
  readonly log: Pick<Logger, "info">;
}

/** What no image has, as of the last look. */
export interface Nobodys {
  /** Bytes without a link, left by a crash. */
  readonly orphans: number;
  readonly orphanBytes: number;
  /** Blobs that no held manifest of their repository names. */
  readonly loose: number;
  readonly looseBytes: number;
}

/** For whom room is made: a fill that waits, a round that began by itself, or somebody who has asked for one. */
export type MadeFor = "fill" | "round" | "prune";

type Lack = () => Promise<Shortage | undefined>;

interface LooseWanted {
  /** What was used since stays, milliseconds. */
  readonly sparedMs: number;
  /** Until nothing is lacking; by default all of it goes. */
  readonly lack?: Lack;
}

export interface Tidied {
  readonly orphansRemoved: number;
  readonly orphanBytesRemoved: number;
}

const NOTHING: Nobodys = { orphans: 0, orphanBytes: 0, loose: 0, looseBytes: 0 };

/** Finds and removes what no image has: bytes without a link, and blobs that no held manifest of their repository names. */
export class Tidying {
  readonly #o: TidyingOptions;
  found: Nobodys = NOTHING;
  /** Since the start. */
  readonly looseGone = { count: 0, bytes: 0 };
  #restsUntilMs = 0;

  constructor(options: TidyingOptions) {
    this.#o = options;
  }

  async run(signal: AbortSignal): Promise<Tidied> {
    const { removed, bytes } = await this.#removeOrphans(signal, NOBODYS_AFTER_MS);
    await this.#removeLoose(signal, { sparedMs: NOBODYS_AFTER_MS });
    if (removed > 0) this.#o.log.info({ blobs: removed, bytes }, "bytes that nothing leads to were removed");
    return { orphansRemoved: removed, orphanBytesRemoved: bytes };
  }

  /** Before any image goes for what is lacking. */
  async makeRoom(signal: AbortSignal, lack: Lack, madeFor: MadeFor): Promise<void> {
    // What the catalog lacks may be what names them.
    if (!this.#o.isCatalogWhole() || (madeFor !== "prune" && performance.now() < this.#restsUntilMs)) return;
    await this.#removeLoose(signal, { sparedMs: LOOSE_SPARED_MS, lack });
    // Who waits does not wait for a walk through the whole store.
    if (madeFor !== "fill" && this.found.orphans > 0) await this.#removeOrphans(signal, ORPHAN_SPARED_MS, lack);
    if ((await lack()) !== undefined) this.#restsUntilMs = performance.now() + REST_MS;
  }

  /** After all images that may go. */
  async makeLastRoom(signal: AbortSignal, lack: Lack): Promise<void> {
    await this.#removeLoose(signal, { sparedMs: LOOSE_SPARED_LAST_MS, lack });
  }

  /** Looks only. */
  async look(signal: AbortSignal): Promise<Nobodys> {
    let [orphans, orphanBytes, loose, looseBytes] = [0, 0, 0, 0];
    for await (const { size } of this.#orphans(signal)) {
      orphans += 1;
      orphanBytes += size;
    }
    for await (const { size } of this.#loose(signal)) {
      loose += 1;
      looseBytes += size;
    }
    this.#note({ orphans, orphanBytes, loose, looseBytes });
    return this.found;
  }

  /** The loose ones that a prune would take; `hand` only notes them. */
  async plan(signal: AbortSignal, hand: Pick<Hand, "lack" | "take">): Promise<{ count: number; bytes: number }> {
    let [count, bytes] = [0, 0];
    for await (const { repository, digest, lastUsedAtMs } of this.#loose(signal)) {
      const idleMs = Date.now() - lastUsedAtMs;
      const isWanted = helps(await hand.lack(), repository) && this.#o.isCatalogWhole() && idleMs >= LOOSE_SPARED_MS;
      if (!isWanted && idleMs < NOBODYS_AFTER_MS) continue;
      const leaving = await this.#o.catalog.leavingBlob(repository, digest);
      const took = leaving === undefined ? undefined : await hand.take(leaving, "nobody's");
      if (typeof took !== "number") continue;
      count += 1;
      bytes += took;
    }
    return { count, bytes };
  }

  async #removeOrphans(
    signal: AbortSignal,
    sparedMs: number,
    lack?: Lack,
  ): Promise<{ removed: number; bytes: number }> {
    let [removed, bytes, orphans, orphanBytes] = [0, 0, 0, 0];
    let isEnough = false;
    for await (const one of this.#orphans(signal)) {
      isEnough = lack !== undefined && (await lack()) === undefined;
      if (isEnough) break;
      const isOld = one.atMs < Date.now() - sparedMs;
      if (isOld && !this.#o.pull.isUnderWay(one.digest) && (await this.#o.pull.departures.removeUnlinked(one.digest))) {
        removed += 1;
        bytes += one.size;
        // At once: what is lacking is reckoned with them.
        this.#note({
          ...this.found,
          orphans: Math.max(0, this.found.orphans - 1),
          orphanBytes: Math.max(0, this.found.orphanBytes - one.size),
        });
      } else {
        orphans += 1;
        orphanBytes += one.size;
      }
    }
    if (!isEnough) this.#note({ ...this.found, orphans, orphanBytes });
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

  async *#loose(signal: AbortSignal): AsyncGenerator<LooseBlob, void, void> {
    for (let after: LooseQuery["after"]; ;) {
      const { blobs, next } = await this.#o.catalog.looseBlobs({ after, limit: PAGE });
      yield* blobs.filter(({ digest }) => !this.#o.pull.isUnderWay(digest));
      await otherWork();
      signal.throwIfAborted();
      if (next === undefined) return;
      after = next;
    }
  }

  async #removeLoose(signal: AbortSignal, { sparedMs, lack }: LooseWanted): Promise<void> {
    const { catalog, pull, onEvicted } = this.#o;
    let [loose, looseBytes, isEnough] = [0, 0, false];
    for await (const { repository, digest, size, lastUsedAtMs } of this.#loose(signal)) {
      loose += 1;
      looseBytes += size;
      if (lastUsedAtMs > Date.now() - sparedMs) continue;
      const lacking = await lack?.();
      isEnough = lack !== undefined && lacking === undefined;
      if (isEnough) break;
      if (lack !== undefined && !helps(lacking, repository)) continue;
      const find = async () => await catalog.leavingBlob(repository, digest);
      const departed = await pull.departures.remove(repository, find);
      if (departed === undefined || departed === "busy") continue;
      loose -= 1;
      looseBytes -= size;
      this.looseGone.count += 1;
      this.looseGone.bytes += departed.bytes;
      onEvicted(evictedOf(departed, "nobody's"));
    }
    if (!isEnough) this.#note({ ...this.found, loose, looseBytes });
  }
}

function helps(lack: Shortage | undefined, { registryId }: Repository): boolean {
  return lack !== undefined && (lack.all > 0 || lack.disk > 0 || lack.byRegistry.has(registryId));
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
