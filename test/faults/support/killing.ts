import { type FSWatcher, watch } from "node:fs";
import { readdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { join } from "node:path";
import type { Random } from "./random.ts";

/** When to kill: each kind is uniform over something else, so that no phase of a pull is spared. */
export type Moment =
  /** In time: mostly in the middle of transfers. */
  | { readonly kind: "ms"; readonly count: number }
  /** In bytes that clients have received. */
  | { readonly kind: "bytes"; readonly count: number }
  /** In files that came or went among spools and unfinished writes: in the middle of commits. */
  | { readonly kind: "files"; readonly count: number };

const MS_MAX = 700;
const BYTES_MAX = 24 * 1024 * 1024;
const FILES_MAX = 120;
/** A moment that never comes, since there is nothing left to be written, is taken to have come. */
const WAIT_MS_MAX = 1_500;

export function momentFrom(random: Random): Moment {
  switch (random.below(3)) {
    case 0:
      return { kind: "ms", count: random.below(MS_MAX) };
    case 1:
      return { kind: "bytes", count: random.below(BYTES_MAX) };
    default:
      return { kind: "files", count: random.below(FILES_MAX) };
  }
}

export interface Countdown {
  /** Counts what clients receive. */
  readonly onBytes: (count: number) => void;
  /** Resolves when the moment has come. */
  readonly come: Promise<void>;
  close(): void;
}

export async function countdown(moment: Moment, dataDir: string): Promise<Countdown> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let left = moment.count;
  const less = (kind: Moment["kind"], by: number) => {
    if (moment.kind !== kind) return;
    left -= by;
    if (left <= 0) resolve();
  };
  const watchers = moment.kind === "files" ? await watched(dataDir, () => less("files", 1)) : [];
  const late = new AbortController();
  void delay(moment.kind === "ms" ? moment.count : WAIT_MS_MAX, undefined, { signal: late.signal }).then(
    () => resolve(),
    () => undefined,
  );
  return {
    onBytes: (count) => less("bytes", count),
    come: promise,
    close: () => {
      late.abort();
      for (const watcher of watchers) watcher.close();
    },
  };
}

async function watched(dataDir: string, hear: () => void): Promise<FSWatcher[]> {
  const [spool, unfinished] = [join(dataDir, "spool"), join(dataDir, "unfinished")];
  const folders = [spool, ...(await readdir(unfinished)).map((name) => join(unfinished, name))];
  return folders.map((folder) => watch(folder, hear).on("error", () => undefined));
}
