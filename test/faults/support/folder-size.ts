import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { filesBelow } from "./agreement.ts";

/**
 * Bytes of what is stored and of partials, read by hand from the folder. Looking takes time in which one file may go and another
 * come: only what was there both times that it is looked counts, all of which was there at once in between.
 */
export async function keptBytes(dataDir: string): Promise<number> {
  const [before, after] = [await looked(dataDir), await looked(dataDir)];
  let sum = 0;
  for (const [inode, size] of before) sum += Math.min(size, after.get(inode) ?? 0);
  return sum;
}

/** Sizes by inode, so that a file that is moved meanwhile counts once. */
async function looked(dataDir: string): Promise<ReadonlyMap<number, number>> {
  const sizes = new Map<number, number>();
  // In this order, which is the one that a file goes.
  for (const folder of [join(dataDir, "spool"), join(dataDir, "docker", "registry", "v2", "blobs")]) {
    for (const path of await filesBelow(folder)) {
      // The note beside a partial is none of its bytes.
      if (path.endsWith(".json")) continue;
      const stats = await lstat(path).catch(() => undefined);
      if (stats !== undefined) sizes.set(stats.ino, stats.size);
    }
  }
  return sizes;
}
