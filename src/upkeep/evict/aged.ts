import { setImmediate as otherWork } from "node:timers/promises";
import type { HeldRoot } from "../../catalog/catalog.ts";
import { type ClearOptions, isPinned, WINDOW } from "./clear.ts";

/** Evicts what nobody has pulled since, but for what is pinned, or read just now. */
export async function removeAged(
  options: Pick<ClearOptions, "catalog" | "hand" | "isUnderWay" | "pins" | "signal"> & { readonly beforeMs: number },
): Promise<void> {
  const { catalog, hand, isUnderWay, pins, signal, beforeMs } = options;
  for (let after: HeldRoot | undefined; ;) {
    const page = await catalog.leastUsed({ after, limit: WINDOW });
    for (const root of page) {
      if (root.lastUsedAtMs >= beforeMs) return;
      signal.throwIfAborted();
      const leaving = await hand.leaving(root);
      if (leaving !== undefined && !isPinned(pins, leaving) && !isUnderWay(leaving)) await hand.take(leaving, "age");
      await otherWork();
    }
    after = page.at(-1);
    if (page.length < WINDOW) return;
  }
}
