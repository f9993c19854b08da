import { setImmediate as otherWork } from "node:timers/promises";
import type { Catalog, HeldRoot, Leaving } from "../../catalog/catalog.ts";
import { type Repository, repositoryPath, type Tag } from "../../oci/reference.ts";
import type { Shortage } from "../../pull/room.ts";
import type { PinsNow } from "../pins/pins.ts";
import { type Group, groupOf, GROUPS, inOrder, type Refetch, type Weighed, type Worth } from "./choose.ts";

/** So many of the longest unused images are weighed against each other. */
export const WINDOW = 16;

/** Why something goes. */
export type Why = "budget" | "registry budget" | "disk" | "age" | "asked" | "nobody's";

/** An image that may go. */
export interface Candidate extends Weighed {
  readonly leaving: Leaving;
}

/** Takes images away, or only notes that it would. */
export interface Hand {
  /** What must go still; undefined: nothing. */
  lack(): Promise<Shortage | undefined>;
  leaving(root: HeldRoot): Promise<Leaving | undefined>;
  worth(leaving: Leaving): Worth;
  /** `busy`: somebody keeps something there just now; undefined: it is not there any more. */
  take(leaving: Leaving, why: Why): Promise<number | "busy" | undefined>;
}

export interface ClearOptions {
  readonly catalog: Pick<Catalog, "leastUsed">;
  readonly pins: PinsNow;
  readonly hand: Hand;
  readonly refetch: (repository: Repository, tags: readonly Tag[]) => Promise<Refetch>;
  readonly isUnderWay: (leaving: Leaving) => boolean;
  readonly now: () => number;
  readonly signal: AbortSignal;
}

/** How a clearing went. */
export interface Cleared {
  /** Whether nothing is lacking any more. */
  readonly isEnough: boolean;
  readonly images: number;
  /** That somebody was keeping something in: they may go in a moment. */
  readonly busy: number;
  /** That pins keep. */
  readonly pinned: number;
}

/**
 * Evicts until nothing is lacking: of each group the longest unused images first, weighed a few at a time. One that shares all it has
 * with others brings nothing back by itself, and goes in its turn all the same: else two of the same would stay for ever.
 */
export async function clear(options: ClearOptions): Promise<Cleared> {
  const { hand } = options;
  let [images, busy, pinned] = [0, 0, 0];
  for (const group of GROUPS) {
    pinned = 0;
    busy = 0;
    for (let after: HeldRoot | undefined; ;) {
      const lack = await hand.lack();
      if (lack === undefined) return { isEnough: true, images, busy, pinned };
      const page = await options.catalog.leastUsed({ after, limit: WINDOW });
      after = page.at(-1);
      const found = await weighed(options, page, lack, group);
      pinned += found.pinned;
      for (const candidate of inOrder(found.candidates)) {
        const why = whyOf(await hand.lack(), candidate);
        if (why === undefined) continue;
        const took = await hand.take(candidate.leaving, why);
        if (took === "busy") busy += 1;
        else if (took !== undefined) images += 1;
        await otherWork();
        options.signal.throwIfAborted();
      }
      if (page.length < WINDOW) break;
    }
  }
  return { isEnough: (await hand.lack()) === undefined, images, busy, pinned };
}

async function weighed(
  options: ClearOptions,
  page: readonly HeldRoot[],
  lack: Shortage,
  group: Group,
): Promise<{ candidates: Candidate[]; pinned: number }> {
  const candidates: Candidate[] = [];
  // One moment for all of them: looking at them takes time, by which the last ones would be older.
  const nowMs = options.now();
  let pinned = 0;
  for (const root of page) {
    options.signal.throwIfAborted();
    const isOfAll = lack.all > 0 || lack.disk > 0;
    if (!isOfAll && !lack.byRegistry.has(root.repository.registryId)) continue;
    const leaving = await options.hand.leaving(root);
    if (leaving === undefined) continue;
    if (isPinned(options.pins, leaving)) pinned += 1;
    else {
      const candidate = await weigh(options, root, leaving, nowMs);
      if (GROUPS.indexOf(groupOf(candidate)) <= GROUPS.indexOf(group)) candidates.push(candidate);
    }
    await otherWork();
  }
  return { candidates, pinned };
}

export function isPinned(pins: PinsNow, { repository, tags, manifests }: Leaving): boolean {
  const path = repositoryPath(repository);
  return pins.concern(path) && pins.isPinned({ path, tags, digests: manifests.map(({ digest }) => digest) });
}

async function weigh(
  options: ClearOptions,
  { lastUsedAtMs }: HeldRoot,
  leaving: Leaving,
  nowMs: number,
): Promise<Candidate> {
  return {
    leaving,
    shareBytes: options.hand.worth(leaving).shareBytes,
    idleMs: nowMs - lastUsedAtMs,
    refetch: await options.refetch(leaving.repository, leaving.tags),
    isUnderWay: options.isUnderWay(leaving),
  };
}

/** Undefined where it would be no help. */
function whyOf(lack: Shortage | undefined, { leaving }: Candidate): Why | undefined {
  if (lack === undefined) return undefined;
  if (lack.byRegistry.has(leaving.repository.registryId)) return "registry budget";
  if (lack.all > 0) return "budget";
  return lack.disk > 0 ? "disk" : undefined;
}
