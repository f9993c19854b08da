import { ClientGone } from "./access-log.ts";
import type { Exchange } from "./exchange.ts";
import { Latencies, type LatencySum } from "./latencies.ts";
import type { RequestFacts } from "./request-facts.ts";

/**
 * How a request came out, as it is counted.
 *
 * - `hit` to `unkept`: what `Cache-Status` has told of it, whoever is stale for which reason
 * - `refused` answered with 4xx; `failed` answered with 5xx, or broken off by us
 * - `other` answered without a look at content (pings, lists of what is held), or the client left before anything was known
 */
export const COUNTED_OUTCOMES = [
  "hit",
  "revalidated",
  "stale",
  "miss",
  "joined",
  "quarantined",
  "unkept",
  "refused",
  "failed",
  "other",
] as const;
export type CountedOutcome = (typeof COUNTED_OUTCOMES)[number];

/** What was served without being fetched for it: bytes and pulls with these outcomes are the ones that were saved. */
export const SAVING_OUTCOMES = ["hit", "revalidated", "stale", "joined", "quarantined"] as const;

/** Requests that are alike, added up. */
export interface RequestSum {
  /** UTC days since the epoch, of when they came in. */
  readonly day: number;
  /** By id; undefined where none was understood. */
  readonly registry: string | undefined;
  /** `manifest`, `blob`, ...; undefined where nothing of the registry API was understood. */
  readonly endpoint: string | undefined;
  readonly outcome: CountedOutcome;
  readonly requests: number;
  /** Body bytes handed to clients' sockets. */
  readonly bytes: number;
  /** Manifests that were asked for with GET and answered with 200. */
  readonly pulls: number;
  /** Until the head of the answer was written, of those that got one. */
  readonly firstByte: LatencySum;
  readonly duration: LatencySum;
}

/** A manifest that somebody has pulled, by one name for it. */
export interface PulledImage {
  readonly registry: string;
  /** Without the registry. */
  readonly repository: string;
  readonly digest: string;
  /** By which it was asked for, if by one. */
  readonly tag: string | undefined;
  /** A user's name, else the client's address. */
  readonly puller: string;
  readonly pulls: number;
  /** The latest of them, milliseconds since the epoch. */
  readonly atMs: number;
}

/** What a process has counted since it was last asked. */
export interface Counted {
  readonly requests: readonly RequestSum[];
  readonly pulled: readonly PulledImage[];
}

export const MS_PER_DAY = 24 * 60 * 60 * 1000;
