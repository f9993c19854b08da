import { setImmediate } from "node:timers/promises";

/** Lets the process do what else is to be done. */
export async function otherWork(): Promise<void> {
  await setImmediate();
}

/** Rows in one INSERT. */
export const ROWS_PER_INSERT = 100;

/**
 * Hands the items over in pieces and lets the process do other work between them: SQLite answers at once, so a long loop
 * of awaited queries would keep every socket waiting.
 */
export async function inBatches<T>(
  items: readonly T[],
  size: number,
  handle: (piece: readonly T[]) => Promise<void>,
): Promise<void> {
  for (let start = 0; start < items.length; start += size) {
    if (start > 0) await otherWork();
    await handle(items.slice(start, start + size));
  }
}
