import type { Catalog, HeldBytes } from "../catalog/catalog.ts";
import { LATE, within } from "../lib/wait.ts";
import { NoRoomError, type Store } from "../store/store.ts";

/** The longest that something waits for what is evicted for it, before it is streamed through un-kept. */
export const ROOM_WAIT_MS = 20_000;
/** Above this share of a budget eviction begins by itself, */
export const HIGH_WATER_SHARE = 0.95;
/** and goes on down to this one, so that not every fill has to wait for it. */
export const LOW_WATER_SHARE = 0.9;
/** Where nobody says how much will come, as much as has come is reserved further at a time, between these. */
const GROWTH_BYTES_MIN = 256 * 1024;
const GROWTH_BYTES_MAX = 16 * 1024 * 1024;

/** The budgets that the configuration gives, bytes. */
export interface Budgets {
  readonly all: number | undefined;
  /** By registry id. */
  readonly byRegistry: ReadonlyMap<string, number>;
}

/** Bytes that are wanted. */
export interface Need {
  readonly registryId: string;
  /** On the disk, and in the budget over all. */
  readonly bytes: number;
  /** In the registry's budget; as many where nothing is said. */
  readonly registryBytes?: number;
}

/** Bytes that must go so that there is room. */
export interface Shortage {
  readonly all: number;
  readonly disk: number;
  /** By registry id; those that lack something only. */
  readonly byRegistry: ReadonlyMap<string, number>;
}

/** Who makes room. */
export interface RoomMaker {
  /** Evicts until nothing is lacking; false where there is nothing more that could go. */
  makeRoom(shortage: () => Promise<Shortage | undefined>): Promise<boolean>;
  /** Hears that so much of a budget is used that eviction should begin by itself; must not throw. */
  tend(): void;
}

export interface RoomOptions {
  readonly store: Pick<Store, "partials" | "room">;
  readonly catalog: Pick<Catalog, "heldBytes">;
  readonly budgets: Budgets;
}

/** Bytes that are somebody's although they do not lie there yet, or nobody knows yet that they do. */
export class Reservation {
  readonly registryId: string;
  #bytes: number;
  #registryBytes: number;
  /** Of those, what the disk has still to take. */
  #unwritten: number;
  readonly #onLess: () => void;

  constructor(need: Need, onLess: () => void) {
    this.registryId = need.registryId;
    this.#bytes = need.bytes;
    this.#registryBytes = need.registryBytes ?? need.bytes;
    this.#unwritten = need.bytes;
    this.#onLess = onLess;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get registryBytes(): number {
    return this.#registryBytes;
  }

  get unwritten(): number {
    return this.#unwritten;
  }

  /** So many of them lie in `spool/` now, where they count as a partial. */
  written(bytes: number): void {
    this.#bytes = Math.max(0, this.#bytes - bytes);
    this.#registryBytes = Math.max(0, this.#registryBytes - bytes);
    this.#unwritten = Math.max(0, this.#unwritten - bytes);
  }

  extend(bytes: number): void {
    this.#bytes += bytes;
    this.#registryBytes += bytes;
    this.#unwritten += bytes;
  }

  /** So many lie in the store, or will in a moment; until the catalog knows it they count here. */
  becomes(bytes: number): void {
    this.#bytes = bytes;
    this.#registryBytes = bytes;
    this.#unwritten = 0;
  }

  /** All of them do. */
  stored(): void {
    this.#unwritten = 0;
  }

  release(): void {
    this.becomes(0);
    this.#onLess();
  }
}

/**
 * How much may be kept: the lesser of what the disk has beyond its reserve and of the budgets, of which what is held, partials
 * and what was promised to others are taken off. Where there is not enough, somebody is asked to evict and waited for.
 */
export class Room {
  readonly #o: RoomOptions;
  readonly #reserved = new Set<Reservation>();
  #maker: RoomMaker | undefined;
  #isKnown: Promise<unknown> | undefined;
  #orphanBytes = 0;
  /** Grows whenever bytes may have gone from what is reserved to what is held: a sum that was begun before would lack them. */
  #moves = 0;

  constructor(options: RoomOptions) {
    this.#o = options;
  }

  get budgets(): Budgets {
    return this.#o.budgets;
  }

  /** Who evicts. Without it what does not fit is not kept. */
  evictBy(maker: RoomMaker | undefined): void {
    this.#maker = maker;
  }

  /** Until then the catalog does not say all that is held, and nobody can tell what is left of a budget. */
  awaitCatalog(complete: Promise<unknown>): void {
    this.#isKnown = complete.then(() => (this.#isKnown = undefined));
  }

  /** Bytes on the disk that nothing leads to, as far as they were found. */
  set orphanBytes(bytes: number) {
    this.#orphanBytes = bytes;
  }

  /** Whether so much may be kept without anything being evicted for it. */
  async has(need: Need): Promise<boolean> {
    try {
      return (await this.shortage([need])) === undefined;
    } catch (error) {
      if (error instanceof NoRoomError) return false;
      throw error;
    }
  }

  /** How much is reserved next for what nobody knows the size of. */
  growthBytes(thereBytes: number): number {
    return Math.min(GROWTH_BYTES_MAX, Math.max(GROWTH_BYTES_MIN, thereBytes));
  }

  /** Undefined where there is not as much; nothing is evicted for it. */
  async reserveNow(need: Need): Promise<Reservation | undefined> {
    this.#assertPossible(need);
    return await this.#facts((facts) => this.#tryReserve(facts, need));
  }

  /** Rejects with a `NoRoomError` where there is not as much, and nothing can be evicted for it in time. */
  async reserve(need: Need): Promise<Reservation> {
    const untilMs = performance.now() + ROOM_WAIT_MS;
    for (;;) {
      const reservation = await this.reserveNow(need);
      if (reservation !== undefined) return reservation;
      await this.#assertWorthwhile(need);
      const made = this.#maker?.makeRoom(async () => await this.shortage([need]));
      const hasGone = made !== undefined && (await within(made, untilMs - performance.now()));
      if (hasGone !== true) throw new NoRoomError(await this.#reason(need, hasGone === LATE));
    }
  }

  /** More for the same purpose. Rejects as `reserve`. */
  async grow(reservation: Reservation, bytes: number): Promise<void> {
    const more = await this.reserve({ registryId: reservation.registryId, bytes });
    // In one go: nobody else shall see the bytes free.
    reservation.extend(bytes);
    this.#reserved.delete(more);
  }

  /** For bytes that go, and count until they are gone. */
  going(registryId: string, bytes: number): Reservation {
    const reservation = this.#add({ registryId, bytes, registryBytes: 0 });
    reservation.stored();
    return reservation;
  }

  /**
   * What must go so that there is room for these, and so that at most `share` of each budget is used; undefined where nothing
   * must.
   */
  async shortage(needs: readonly Need[], share = 1): Promise<Shortage | undefined> {
    return await this.#facts((facts) => this.#shortage(facts, needs, share));
  }

  /** Bytes in use, as the budget over all counts them. */
  async used(): Promise<number> {
    return await this.#facts((facts) => this.#usedOf(facts));
  }

  #assertPossible({ registryId, bytes, registryBytes = bytes }: Need): void {
    const { all, byRegistry } = this.#o.budgets;
    if (all !== undefined && bytes > all) throw new NoRoomError(`${bytes} bytes are more than max_size`);
    const own = byRegistry.get(registryId);
    if (own !== undefined && registryBytes > own)
      throw new NoRoomError(`${registryBytes} bytes are more than the registry's max_size`);
  }

  /** What does not fit where all that is held has gone is nothing to be evicted for. */
  async #assertWorthwhile(need: Need): Promise<void> {
    const shortage = await this.shortage([need]);
    if (shortage === undefined || this.#maker === undefined) return;
    const { bytes } = await this.#allHeld();
    if (Math.max(shortage.all, shortage.disk) > bytes + this.#o.store.partials().bytes + this.#orphanBytes)
      throw new NoRoomError(`${need.bytes} bytes would not fit if everything were evicted`);
  }

  async #reason(need: Need, isLate: boolean): Promise<string> {
    const shortage = await this.shortage([need]);
    // A broken catalog says so itself.
    const why = isLate ? "nothing was evicted in time" : "nothing more can be evicted";
    if (shortage === undefined || shortage.disk > 0) return `the disk's reserve is reached; ${why}`;
    return `the budget is used up; ${why}`;
  }

  #tryReserve(facts: Facts, need: Need): Reservation | undefined {
    if (this.#shortage(facts, [need]) !== undefined) return undefined;
    const reservation = this.#add(need);
    const high = this.#shortage(facts, [], HIGH_WATER_SHARE);
    if (high !== undefined && (high.all > 0 || high.byRegistry.size > 0)) this.#maker?.tend();
    return reservation;
  }

  #add(need: Need): Reservation {
    const reservation = new Reservation(need, () => {
      this.#moves += 1;
      this.#reserved.delete(reservation);
    });
    this.#reserved.add(reservation);
    return reservation;
  }

  #shortage(facts: Facts, needs: readonly Need[], share = 1): Shortage | undefined {
    const { all, byRegistry } = this.#o.budgets;
    const wanted = sum(needs.map(({ bytes }) => bytes));
    const promised = sum([...this.#reserved].map(({ unwritten }) => unwritten));
    const over = (used: number, more: number, budget: number) =>
      Math.max(0, used + more - budget, share < 1 ? used - budget * share : 0);
    const lacking = new Map<string, number>();
    for (const [registryId, budget] of byRegistry) {
      const of = (one: { readonly registryId: string }) => one.registryId === registryId;
      const used =
        (facts.held.byRegistry.get(registryId)?.bytes ?? 0) +
        sum([...this.#reserved].filter(of).map(({ registryBytes }) => registryBytes)) +
        (facts.partialsOf.get(registryId) ?? 0);
      const more = sum(needs.filter(of).map(({ bytes, registryBytes = bytes }) => registryBytes));
      const lack = over(used, more, budget);
      if (lack > 0) lacking.set(registryId, lack);
    }
    const shortage = {
      all: all === undefined ? 0 : over(this.#usedOf(facts), wanted, all),
      disk: Math.max(0, wanted + promised - facts.disk),
      byRegistry: lacking,
    };
    return shortage.all > 0 || shortage.disk > 0 || lacking.size > 0 ? shortage : undefined;
  }

  #usedOf({ held, partials }: Facts): number {
    return held.bytes + partials + this.#orphanBytes + sum([...this.#reserved].map(({ bytes }) => bytes));
  }

  /** Runs `judge` with facts of one moment. */
  async #facts<T>(judge: (facts: Facts) => T): Promise<T> {
    for (;;) {
      const moves = this.#moves;
      const [disk, held] = await Promise.all([this.#o.store.room(), this.#held()]);
      if (moves !== this.#moves) continue;
      // In the same moment as what is reserved, which what is written goes from to here.
      const partials = this.#o.store.partials();
      return judge({ disk, held, partials: partials.bytes, partialsOf: partials.byRegistry });
    }
  }

  async #held(): Promise<HeldBytes> {
    const { all, byRegistry } = this.#o.budgets;
    if (all === undefined && byRegistry.size === 0) return NOTHING;
    if (this.#isKnown !== undefined && (await within(this.#isKnown, ROOM_WAIT_MS)) === LATE)
      throw new NoRoomError("the catalog is being rebuilt: nobody knows yet what is left of the budget");
    return await this.#allHeld();
  }

  async #allHeld(): Promise<HeldBytes> {
    try {
      return await this.#o.catalog.heldBytes();
    } catch (error) {
      throw new NoRoomError("the catalog cannot be read: nobody knows what is held", { cause: error });
    }
  }
}

interface Facts {
  /** Bytes that may still be written before the reserve is touched. */
  readonly disk: number;
  readonly held: HeldBytes;
  readonly partials: number;
  readonly partialsOf: ReadonlyMap<string, number>;
}

const NOTHING: HeldBytes = { bytes: 0, contents: 0, byRegistry: new Map() };

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
