import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "pino";
import type { Catalog, Leaving } from "../../catalog/catalog.ts";
import { repositoryPath } from "../../oci/reference.ts";
import type { Pull } from "../../pull/pull.ts";
import type { RoomMaker, Shortage } from "../../pull/room.ts";
import type { Store } from "../../store/store.ts";
import type { Pins } from "../pins/pins.ts";
import type { Step } from "../steps.ts";
import { type Cleared, type ClearOptions, clear } from "./clear.ts";
import { type Evicted, PlanningHand, TakingHand } from "./hands.ts";
import { removeAged } from "./aged.ts";
import { type EvictReport, type EvictRequest, evictAsked } from "./asked.ts";
import { type PrunePlan, type PruneReport, planOf } from "./prune.ts";
import { roundOf } from "./round.ts";
import { type MadeFor, type Nobodys, Tidying } from "./tidy.ts";

/** How often it is looked whether a budget, the disk's reserve or an age is passed; fills that need room do not wait for it. */
const TEND_EVERY_MS = 60_000;
const AGE_EVERY_MS = 5 * 60_000;
const TIDY_EVERY_MS = 60 * 60_000;
const TIDY_FIRST_MS = 2 * 60_000;
/** After all that may go has gone and it was not enough, it is not begun again by itself for so long. */
const EXHAUSTED_PAUSE_MS = 30_000;
/**
 * Nor is it for fills, for so many times as long as it has taken to find that out: every image is looked at for it, and each pull
 * would have it done again.
 */
const EXHAUSTED_FACTOR = 4;
const EXHAUSTED_MS_MAX = 5 * 60_000;
/** Where all that may go is being kept something in just now. */
const BUSY_PAUSE_MS = 50;
/** Partials that are younger are gone on with by clients that come back; under need they go when nothing else does. */
const PARTIAL_SPARED_MS = 10 * 60_000;

export interface EvictorOptions {
  readonly catalog: Catalog;
  readonly store: Store;
  readonly pull: Pick<Pull, "departures" | "isUnderWay" | "room" | "settleUses">;
  readonly pins: Pins;
  /** What it would take to have an image again. */
  readonly refetch: ClearOptions["refetch"];
  readonly maxAgeMs: number | undefined;
  /** Settles when the catalog is not being rebuilt: what was evicted meanwhile would come back as rows. */
  readonly catalogComplete: () => Promise<unknown>;
  /** Whether the catalog is known to have all that the store has: else nothing counts as nobody's. */
  readonly isCatalogWhole: () => boolean;
  readonly onEvicted?: ((evicted: Evicted) => void) | undefined;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
}

/** Keeps budgets, the disk's reserve and ages, one step after the other beside the pulls, and evicts what it is asked to. */
export class Evictor implements RoomMaker {
  readonly #o: EvictorOptions;
  readonly #stopping = new AbortController();
  readonly #tidying: Tidying;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #isTending = false;
  #exhaustedUntilMs = 0;
  /** Until when nothing more can go, by what was lacking. */
  readonly #nothingMore = new Map<string, number>();

  constructor(options: EvictorOptions) {
    this.#o = options;
    this.#tidying = new Tidying({ ...options, onEvicted: (evicted) => this.#evicted(evicted) });
  }

  /** For a fill that needs room. False where there is nothing more that could go. */
  async makeRoom(shortage: () => Promise<Shortage | undefined>): Promise<boolean> {
    this.#waiting += 1;
    return await this.#inTurn(async () => {
      this.#waiting -= 1;
      const lack = await shortage();
      if (lack === undefined) return true;
      const kind = kindOf(lack);
      const startedMs = performance.now();
      if (startedMs < (this.#nothingMore.get(kind) ?? 0)) return false;
      const cleared = await this.#clear(shortage, "fill");
      if (cleared.isEnough || cleared.images > 0) return true;
      if (cleared.busy === 0) {
        const endedMs = performance.now();
        this.#nothingMore.set(kind, endedMs + Math.min(EXHAUSTED_MS_MAX, (endedMs - startedMs) * EXHAUSTED_FACTOR));
        return false;
      }
      await pause(BUSY_PAUSE_MS, undefined, { signal: this.#stopping.signal });
      return true;
    }, false);
  }

  /** Begins a round by itself where a mark is passed, unless one is under way; whoever waits for room goes first. */
  tend(): void {
    if (this.#isTending || performance.now() < this.#exhaustedUntilMs) return;
    this.#isTending = true;
    void this.#inTurn(async () => await this.#tended(), undefined).finally(() => (this.#isTending = false));
  }

  async #tended(): Promise<void> {
    const round = await roundOf(this.#o.pull.room);
    if (round === undefined) return;
    const { isEnough, busy } = await this.#clear(async () => (this.#waiting > 0 ? undefined : await round()), "round");
    if (!isEnough && busy === 0) this.#exhaustedUntilMs = performance.now() + EXHAUSTED_PAUSE_MS;
  }

  /** What a round would take that began now, why, and how much would come back; nothing is changed. */
  async plan(): Promise<PrunePlan> {
    const { pull } = this.#o;
    const { room } = pull;
    await pull.settleUses();
    const [round, budgets] = [await roundOf(room), await room.shortage([])];
    const shortage = await round?.();
    return await planOf({
      ...this.#o,
      shortage,
      budgets,
      tidying: this.#tidying,
      clearing: await this.#clearing(undefined),
    });
  }

  /** Does what the plan says, at once. */
  async prune(): Promise<PruneReport> {
    const evicted: Evicted[] = [];
    const note = (one: Evicted) => void evicted.push(one);
    return await this.#inTurn(async () => {
      await this.#removeAged(note);
      const { room } = this.#o.pull;
      const before = { ...this.#tidying.looseGone };
      const round = (await roundOf(room)) ?? (async () => undefined);
      const { pinned } = await this.#clear(round, "prune", note);
      const tidied = await this.#tidying.run(this.#stopping.signal);
      const lacking = await room.shortage([]);
      const { count, bytes } = this.#tidying.looseGone;
      const looseGone = { count: count - before.count, bytes: bytes - before.bytes };
      return { evicted, looseGone, bytes: sum(evicted) + looseGone.bytes, lacking, pinned, ...tidied };
    });
  }

  /** For several dry runs, of which each takes for gone what those before have named. */
  reckoning(): PlanningHand {
    return new PlanningHand(this.#o.catalog, undefined, Number.POSITIVE_INFINITY);
  }

  /** Evicts what somebody names; what is pinned stays, and is told of. */
  async evict(request: EvictRequest, planning = this.reckoning()): Promise<EvictReport> {
    await this.#o.pull.settleUses();
    const pins = await this.#o.pins.now();
    const { catalog, pull } = this.#o;
    return await this.#inTurn(
      async () =>
        await evictAsked(request, {
          catalog,
          pins,
          planning,
          departures: pull.departures,
          signal: this.#stopping.signal,
          onEvicted: (one) => this.#evicted(one),
        }),
    );
  }

  /** Runs work beside which nothing may be evicted, as a rebuild of the catalog. */
  async beside<T>(work: () => Promise<T>): Promise<T> {
    return await this.#inTurn(work);
  }

  /** As it was found last. */
  get nobodys(): Nobodys {
    return this.#tidying.found;
  }

  steps(): Step[] {
    let tidied = 0;
    const ageStep = {
      name: "evict-unused",
      everyMs: AGE_EVERY_MS,
      run: async () => await this.#inTurn(async () => await this.#removeAged()),
    };
    return [
      {
        name: "evict",
        everyMs: TEND_EVERY_MS,
        run: async () => {
          this.tend();
          await this.#last;
        },
      },
      {
        name: "tidy",
        everyMs: () => (tidied++ === 0 ? TIDY_FIRST_MS : TIDY_EVERY_MS),
        run: async (signal) => {
          await this.#inTurn(async () => await this.#tidying.run(signal));
        },
      },
      ...(this.#o.maxAgeMs === undefined ? [] : [ageStep]),
    ];
  }

  /** Waits until nothing is being evicted. */
  async idle(): Promise<void> {
    for (let last: unknown; last !== this.#last;) await (last = this.#last);
  }

  /** Ends after the step under way. */
  async stop(): Promise<void> {
    this.#o.pull.room.evictBy(undefined);
    this.#stopping.abort(new Error("the cache is stopping"));
    await this.#last.catch(() => undefined);
  }

  async #removeAged(note?: (evicted: Evicted) => void): Promise<void> {
    const { maxAgeMs, pull } = this.#o;
    if (maxAgeMs === undefined) return;
    await pull.settleUses();
    const options = await this.#clearing(this.#handFor(async () => undefined, note));
    await removeAged({ ...options, beforeMs: Date.now() - maxAgeMs });
  }

  async #clear(
    shortage: () => Promise<Shortage | undefined>,
    madeFor: MadeFor,
    note?: (evicted: Evicted) => void,
  ): Promise<Cleared> {
    const { pull, store } = this.#o;
    const { signal } = this.#stopping;
    await pull.settleUses();
    const hand = this.#handFor(shortage, note);
    const lack = async () => await hand.lack();
    // Partials that nobody went on with for some time, and what no image has, are worth less than any image.
    if ((await lack()) !== undefined) await store.reapPartials(PARTIAL_SPARED_MS);
    if ((await lack()) !== undefined) await this.#tidying.makeRoom(signal, lack, madeFor);
    const cleared = await clear(await this.#clearing(hand));
    if (cleared.isEnough) return cleared;
    await this.#tidying.makeLastRoom(signal, lack);
    if ((await lack()) !== undefined) await store.reapPartials(0);
    return { ...cleared, isEnough: (await lack()) === undefined };
  }

  #handFor(shortage: () => Promise<Shortage | undefined>, note?: (evicted: Evicted) => void): TakingHand {
    const { catalog, pull } = this.#o;
    const onEvicted = (evicted: Evicted) => {
      note?.(evicted);
      this.#evicted(evicted);
    };
    return new TakingHand({ catalog, departures: pull.departures, shortage, onEvicted, log: this.#o.log });
  }

  async #clearing<H>(hand: H) {
    const { catalog, pins, pull, refetch } = this.#o;
    const isUnderWay = ({ blobs }: Leaving) => blobs.some(({ digest }) => pull.isUnderWay(digest));
    return { catalog, pins: await pins.now(), hand, refetch, isUnderWay, now: Date.now, signal: this.#stopping.signal };
  }

  #evicted(evicted: Evicted): void {
    const { repository, digest, tags, bytes, why, lastUsedAtMs } = evicted;
    const idleS = Math.max(0, Math.round((Date.now() - lastUsedAtMs) / 1000));
    const about = {
      repository: repositoryPath(repository),
      digest,
      tags: tags.slice(0, 10),
      bytes,
      reason: why,
      idleS,
    };
    this.#o.log.info(about, digest === undefined ? "a blob that no image names was evicted" : "an image was evicted");
    this.#o.onEvicted?.(evicted);
  }

  /** One after the other, whatever became of the one before. Without `otherwise` a failure is the caller's. */
  async #inTurn<T>(work: () => Promise<T>, otherwise?: T): Promise<T> {
    const before = this.#last;
    const mine = (async () => {
      await before.catch(() => undefined);
      await this.#o.catalogComplete();
      this.#stopping.signal.throwIfAborted();
      return await work();
    })();
    this.#last = mine.catch(() => undefined);
    try {
      return await mine;
    } catch (error) {
      if (arguments.length < 2) throw error;
      if (!this.#stopping.signal.aborted) this.#o.log.error({ err: error }, "eviction failed");
      return otherwise as T;
    }
  }
}

/** Which budgets lack something: what cannot be got for one of them may be had for another. */
function kindOf({ all, disk, byRegistry }: Shortage): string {
  return [...(all > 0 ? ["all"] : []), ...(disk > 0 ? ["disk"] : []), ...[...byRegistry.keys()].toSorted()].join(" ");
}

function sum(evicted: readonly Evicted[]): number {
  return evicted.reduce((bytes, one) => bytes + one.bytes, 0);
}
