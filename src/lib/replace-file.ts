import { randomBytes } from "node:crypto";
import { lchown, mkdir, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** Read by its owner alone, unless the file that was there before says otherwise. */
export const SECRET_MODE = 0o600;

export interface ReplaceOptions {
  /** What the mode becomes, by the one from before; by default that one, and `SECRET_MODE` for a new file. */
  readonly mode?: (before: number | undefined) => number;
}

/**
 * Writes a whole file: all or nothing, also where the machine stops in between; the owner stays, and a link is written through.
 * Rejects with the system's error, and has changed nothing then.
 */
export async function replaceFile(path: string, text: string, { mode = asBefore }: ReplaceOptions = {}): Promise<void> {
  const real = await realpath(path).catch(() => path);
  const before = await stat(real).catch(() => undefined);
  const folder = await stat(dirname(real));
  const temporary = `${real}.${randomBytes(6).toString("hex")}`;
  try {
    const handle = await open(temporary, "wx", SECRET_MODE);
    try {
      await handle.writeFile(text);
      // Who is not root cannot give files away, and need not.
      if (process.getuid?.() === 0) await handle.chown((before ?? folder).uid, (before ?? folder).gid);
      await handle.chmod(mode(before === undefined ? undefined : before.mode & 0o777));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, real);
    await syncFolder(dirname(real));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function asBefore(before: number | undefined): number {
  return before ?? SECRET_MODE;
}

/** Makes a folder, and those above it that are missing, for whoever has the nearest that is there. Rejects with the system's error. */
export async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true });
  if (first === undefined || process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(dirname(first));
  for (let at = path; ; at = dirname(at)) {
    // Never through a link that its owner puts there meanwhile.
    await lchown(at, uid, gid);
    if (at === first) return;
  }
}

/** Without it the old file could be back after a power cut. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
