import { type CountedOutcome } from "../../server/request-sums.ts";

/** How fills end. `unkept`: all bytes came, and could not be kept. `paused`: others needed the place, or the cache stopped. */
export const FILL_ENDS = ["done", "failed", "unkept", "paused"] as const;
export type FillEnd = (typeof FILL_ENDS)[number];

/** What has happened at one registry, on a day or ever. Bytes are those of bodies. */
export interface Counts {
  readonly requests: Readonly<Record<CountedOutcome, number>>;
  /** Handed to clients' sockets. */
  readonly bytesServed: Readonly<Record<CountedOutcome, number>>;
  /** Served without having been fetched for it. */
  readonly bytesSaved: number;
  /** From upstream: manifests, blobs and lists. */
  readonly bytesFetched: number;
  /** Manifests that clients asked for with GET and that were answered with 200. */
  readonly pulls: number;
  /** Those of them that upstream was not asked to send. */
  readonly pullsSaved: number;
  readonly fills: Readonly<Record<"begun" | FillEnd, number>>;
  /** Images that were evicted, and what came back by that. */
  readonly evictions: number;
  readonly bytesEvicted: number;
}

export interface RegistryCounts {
  readonly registryId: string;
  readonly counts: Counts;
}

export interface DayCounts {
  /** `2026-11-26`, of UTC. */
  readonly day: string;
  readonly registries: readonly RegistryCounts[];
}

/** What counters tell whoever asks; all that was heard of before the question is in it. */
export interface CountersView {
  /** Of all time, in the order of registries' ids. */
  total(): Promise<readonly RegistryCounts[]>;
  /** From one day to another, both included, at most `DAYS_KEPT`; days without anything are left out. */
  byDay(from: string, to: string): Promise<readonly DayCounts[]>;
}
