import { lchown, lstat } from "node:fs/promises";
import { join } from "node:path";
import { entriesOf } from "./files.ts";

const ROOT = 0;

/**
 * What root has made in a folder that belongs to somebody else is given to them: the cache that runs as that user has to write there.
 * Files with other names elsewhere stay whose they are. Does nothing for whoever is not root.
 */
export async function giveToOwner(folder: string): Promise<void> {
  if (process.geteuid?.() !== ROOT) return;
  const { uid, gid } = await lstat(folder);
  if (uid !== ROOT) await give(folder, uid, gid);
}

async function give(folder: string, uid: number, gid: number): Promise<void> {
  for (const entry of await entriesOf(folder)) {
    const path = join(folder, entry.name);
    const stats = await lstat(path);
    const isShared = stats.isFile() && stats.nlink > 1;
    if (stats.uid === ROOT && !isShared) await lchown(path, uid, gid);
    if (entry.isDirectory()) await give(path, uid, gid);
  }
}
