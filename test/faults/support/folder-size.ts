import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { filesBelow } from "./agreement.ts";

/** Bytes of what is stored and of partials, read by hand from the folder; a file that is moved meanwhile counts once. */
export async function keptBytes(dataDir: string): Promise<number> {
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
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}
