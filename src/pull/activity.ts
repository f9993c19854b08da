import type { Digest } from "../oci/digest.ts";

/** Fills, and blobs with readers, of which is told at once; what is beyond is counted only. */
export const ACTIVITY_SHOWN_MAX = 200;

/** How fills end. `unkept`: the disk had no room, or failed. `paused`: others needed the place, or the cache stopped. */
export const FILL_ENDS = ["done", "failed", "unkept", "paused"] as const;
export type FillEnd = (typeof FILL_ENDS)[number];

/** A fill that is under way. */
export interface FillActivity {
  readonly digest: Digest;
  /** By whose request it was started: `docker.io/library/nginx`. */
  readonly repository: string;
  readonly registryId: string;
  /**
   * `waiting`: for a place among the running ones. `ending`: all bytes are there, or none will come any more. `unkept`: it cannot
   * be kept, and each reader gets the rest from upstream.
   */
  readonly state: "waiting" | "filling" | "ending" | "unkept";
  /** That are here; of an un-kept one those that the first reader has. */
  readonly bytes: number;
  /** Of the whole; undefined while nobody has said it. */
  readonly size: number | undefined;
  /** Over the last seconds. */
  readonly bytesPerSecond: number;
  readonly readers: number;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
}

/** A stored blob that somebody reads from its file. */
export interface StoredActivity {
  readonly digest: Digest;
  readonly readers: number;
}

/** What the pull room of a process does now. */
export interface PullActivity {
  /** The oldest first, at most `ACTIVITY_SHOWN_MAX`. */
  readonly fills: readonly FillActivity[];
  readonly fillCount: number;
  /** The most read first, at most `ACTIVITY_SHOWN_MAX`. */
  readonly stored: readonly StoredActivity[];
  /** Readers of all stored blobs together. */
  readonly storedReaders: number;
}

/** All of them together. */
export function readersOf(stored: readonly StoredActivity[]): number {
  return stored.reduce((sum, { readers }) => sum + readers, 0);
}

/** What there is, cut to what is shown. */
export function pullActivity(fills: readonly FillActivity[], stored: readonly StoredActivity[]): PullActivity {
  return {
    fills: fills.slice(0, ACTIVITY_SHOWN_MAX),
    fillCount: fills.length,
    stored: stored.toSorted((a, b) => b.readers - a.readers).slice(0, ACTIVITY_SHOWN_MAX),
    storedReaders: readersOf(stored),
  };
}
