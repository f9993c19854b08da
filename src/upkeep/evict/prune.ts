import type { Catalog } from "../../catalog/catalog.ts";
import type { Shortage } from "../../pull/room.ts";
import { removeAged } from "./aged.ts";
import { clear, type ClearOptions } from "./clear.ts";
import { type Evicted, PlanningHand } from "./hands.ts";
import type { Nobodys, Tidied, Tidying } from "./tidy.ts";

/** Images in one plan; a further prune goes on. */
export const PLANNED_MAX = 10_000;

/** What a prune would do. */
export interface PrunePlan extends Nobodys {
  /** The images that would go, in the order in which they would. */
  readonly evicted: readonly Evicted[];
  /** Blobs that no image has which would go before them. */
  readonly looseGoing: { readonly count: number; readonly bytes: number };
  /** That would come back, orphans not among them. */
  readonly bytes: number;
  /** What would be lacking all the same, since pins keep the rest; undefined: nothing. */
  readonly lacking: Shortage | undefined;
  /** Images that pins keep, as far as they were looked at. */
  readonly pinned: number;
}

export interface PruneReport extends Tidied {
  readonly evicted: readonly Evicted[];
  readonly looseGone: { readonly count: number; readonly bytes: number };
  /** That came back, orphans not among them. */
  readonly bytes: number;
  /** Of the budgets and the disk's reserve; undefined: they are kept now. */
  readonly lacking: Shortage | undefined;
  readonly pinned: number;
}

export interface PlanningOptions {
  readonly catalog: Pick<Catalog, "leaving">;
  readonly clearing: Omit<ClearOptions, "hand">;
  /** What a round would bring back. */
  readonly shortage: Shortage | undefined;
  /** What is above the budgets themselves, and the reserve of the disk. */
  readonly budgets: Shortage | undefined;
  readonly maxAgeMs: number | undefined;
  readonly tidying: Pick<Tidying, "look" | "plan">;
}

/** As a prune goes about it, with a hand that only notes. */
export async function planOf(planning: PlanningOptions): Promise<PrunePlan> {
  const { catalog, clearing, shortage, budgets, maxAgeMs, tidying } = planning;
  const hand = new PlanningHand(catalog, shortage, PLANNED_MAX);
  const options = { ...clearing, hand };
  if (maxAgeMs !== undefined) await removeAged({ ...options, beforeMs: clearing.now() - maxAgeMs });
  const looseGoing = await tidying.plan(clearing.signal, hand);
  const cleared = await clear(options);
  const nobodys = await tidying.look(clearing.signal);
  return {
    evicted: hand.planned.filter(({ digest }) => digest !== undefined),
    looseGoing,
    bytes: hand.freed,
    lacking: hand.lackOf(budgets),
    pinned: cleared.pinned,
    ...nobodys,
  };
}
