import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { filesBelow } from "./agreement.ts";

/**
 * Bytes of what is stored and of partials, read by hand from the folder. Files come and go meanwhile, so it is looked twice: what was
 * there both times was there all at once, with at least the bytes that it had first.
 */
export async function keptBytes(dataDir: string): Promise<number> {
  const [before, after] = [await filesOf(dataDir), await filesOf(dataDir)];
  return [...before].reduce((sum, [file, size]) => (after.has(file) ? sum + size : sum), 0);
}

/** Sizes by file, whatever its path is by now. */
async function filesOf(dataDir: string): Promise<ReadonlyMap<string, number>> {
  const sizes = new Map<string, number>();
  // In this order, which is the one that a file goes.
  for (const folder of [join(dataDir, "spool"), join(dataDir, "docker", "registry", "v2", "blobs")]) {
    for (const path of await filesBelow(folder)) {
      // The note beside a partial is none of its bytes.
      if (path.endsWith(".json")) continue;
      const stats = await lstat(path, { bigint: true }).catch(() => undefined);
      // A number is given to the next file as soon as its own has gone.
      if (stats !== undefined) sizes.set(`${stats.ino}-${stats.birthtimeNs}`, Number(stats.size));
    }
  }
  return sizes;
}
