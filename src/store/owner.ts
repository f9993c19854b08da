import { constants } from "node:fs";
import { lchown, lstat, open } from "node:fs/promises";
import { join } from "node:path";
import { entriesOf, ifPresent, NO_FOLLOW } from "./files.ts";

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

/**
 * Everything is named by way of the open folder: its owner may put a link in the place of a name meanwhile, and would be given what
 * that leads to.
 */
async function give(folder: string, uid: number, gid: number): Promise<void> {
  const handle = await ifPresent(open(folder, constants.O_RDONLY | constants.O_DIRECTORY | NO_FOLLOW));
  if (handle === undefined) return;
  try {
    const byNumber = `/proc/self/fd/${handle.fd}`;
    const opened = (await ifPresent(lstat(byNumber))) === undefined ? folder : byNumber;
    for (const entry of await entriesOf(opened)) {
      const path = join(opened, entry.name);
      const stats = await ifPresent(lstat(path));
      if (stats === undefined) continue;
      const isShared = stats.isFile() && stats.nlink > 1;
      if (stats.uid === ROOT && !isShared) await ifPresent(lchown(path, uid, gid));
      if (entry.isDirectory()) await give(path, uid, gid);
    }
  } finally {
    await handle.close();
  }
}
