import { lstat, lutimes, rm } from "node:fs/promises";
import { join } from "node:path";
import { entriesOf, ifPresent } from "./files.ts";
import { type Layout, ORIGIN_SUFFIX } from "./layout.ts";
import { removeSpool } from "./spool.ts";
import type { ReapReport } from "./store.ts";

export interface SpoolReaping {
  readonly nowMs: number;
  /** Since they were last written to. */
  readonly olderThanMs: number;
  /** Whether a fill has it. */
  readonly isOpen: (path: string) => boolean;
  readonly onRemoved?: (path: string) => void;
}

/**
 * Removes partials that nobody has written to for long, and origins whose partial is gone. One that was written in the
 * future, by a clock that was wrong, is taken for written now: else it would stay until then.
 */
export async function reapSpools(
  layout: Layout,
  { nowMs, olderThanMs, isOpen, onRemoved }: SpoolReaping,
): Promise<ReapReport> {
  let [partials, bytes] = [0, 0];
  for (const entry of await entriesOf(layout.spools)) {
    const path = join(layout.spools, entry.name);
    if (entry.name.endsWith(ORIGIN_SUFFIX)) {
      await removeLoneOrigin(path);
      continue;
    }
    const stats = await ifPresent(lstat(path));
    if (stats === undefined || isOpen(path)) continue;
    if (stats.mtimeMs > nowMs + CLOCK_SLACK_MS) await lutimes(path, nowMs / 1000, nowMs / 1000);
    if (stats.mtimeMs >= nowMs - olderThanMs) continue;
    await removeSpool(path);
    onRemoved?.(path);
    partials += 1;
    bytes += stats.size;
  }
  return { partials, bytes };
}

/** File systems round, and those of a network have clocks of their own. */
const CLOCK_SLACK_MS = 60_000;

/** A crash between a commit's rename and its clean-up leaves an origin alone; a partial is always made before its origin. */
async function removeLoneOrigin(path: string): Promise<void> {
  const partial = await ifPresent(lstat(path.slice(0, -ORIGIN_SUFFIX.length)));
  if (partial === undefined) await rm(path, { force: true });
}

/**
 * Removes the folders of unfinished writes whose process is gone. Our own id counts as gone: in a container every
 * process that ever served here had the same one, and ours has not written yet.
 */
export async function reapUnfinished(layout: Layout): Promise<void> {
  for (const entry of await entriesOf(layout.unfinished)) {
    const pid = Number(entry.name);
    if (Number.isInteger(pid) && pid !== process.pid && isAlive(pid)) continue;
    await rm(join(layout.unfinished, entry.name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
