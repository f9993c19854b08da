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
  readonly isHead: boolean;
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

/** Adds up what the requests of one process come to, until somebody asks. */
export class RequestSums {
  #requests = new Map<string, Sum>();
  /** By digest and puller. */
  #pulled = new Map<string, Map<string, Pull[]>>();
  #pulledCount = 0;
  /** Requests come in crowds of their like. */
  #last: Sum | undefined;

  /** For each request that is over. */
  readonly note = (facts: RequestFacts, exchange: Pick<Exchange, "manifest" | "notes">): void => {
    const outcome = outcomeOf(facts, exchange.notes.error);
    const isPull = facts.endpoint === "manifest" && facts.method === "GET" && facts.status === 200;
    this.#sumOf(facts, outcome).add(facts, isPull);
    if (isPull && exchange.manifest !== undefined) this.#notePulled(facts, exchange.manifest);
  };

  /** What has come since the last time. */
  take(): Counted {
    const pulled = [...this.#pulled.values()].flatMap((pullers) => [...pullers.values()].flat());
    const counted = { requests: [...this.#requests.values()], pulled };
    this.#requests = new Map();
    this.#pulled = new Map();
    this.#pulledCount = 0;
    this.#last = undefined;
    return counted;
  }

  #sumOf({ atMs, registry, endpoint, method }: RequestFacts, outcome: CountedOutcome): Sum {
    const day = dayOf(atMs);
    const isHead = method === "HEAD";
    const last = this.#last;
    if (
      last !== undefined &&
      last.outcome === outcome &&
      last.endpoint === endpoint &&
      last.isHead === isHead &&
      last.registry === registry &&
      last.day === day
    )
      return last;
    const key = `${day} ${outcome} ${endpoint} ${isHead} ${registry}`;
    let sum = this.#requests.get(key);
    if (sum === undefined) {
      sum = new Sum({ day, registry, endpoint, outcome, isHead });
      this.#requests.set(key, sum);
    }
    this.#last = sum;
    return sum;
  }

  /** One text of all these would take longer to make than everything else here. */
  #notePulled(facts: RequestFacts, digest: string): void {
    const { registry, repository, reference, atMs } = facts;
    if (registry === undefined || repository === undefined || this.#pulledCount >= PULLED_MAX) return;
    const puller = facts.principal ?? facts.client ?? "";
    let pullers = this.#pulled.get(digest);
    if (pullers === undefined) this.#pulled.set(digest, (pullers = new Map()));
    let pulls = pullers.get(puller);
    if (pulls === undefined) pullers.set(puller, (pulls = []));
    const tag = reference === undefined || reference.includes(":") || pulls.length >= NAMES_MAX ? undefined : reference;
    const known = pulls.find((one) => one.tag === tag && one.repository === repository && one.registry === registry);
    if (known !== undefined) {
      known.pulls += 1;
      known.atMs = Math.max(known.atMs, atMs);
      return;
    }
    this.#pulledCount += 1;
    pulls.push({ registry, repository, digest, tag, puller, pulls: 1, atMs });
  }
}

/** Different images and pullers between two questions; what is beyond is in the sums, but in no image's own numbers. */
const PULLED_MAX = 20_000;
/** By so many names has somebody pulled one image between two questions; beyond, what it was pulled by is not told apart. */
const NAMES_MAX = 32;

type Pull = { -readonly [Key in keyof PulledImage]: PulledImage[Key] };

type Alike = Pick<RequestSum, "day" | "registry" | "endpoint" | "outcome" | "isHead">;

class Sum implements RequestSum {
  readonly day: number;
  readonly registry: string | undefined;
  readonly endpoint: string | undefined;
  readonly outcome: CountedOutcome;
  readonly isHead: boolean;
  requests = 0;
  bytes = 0;
  pulls = 0;
  readonly firstByte = new Latencies();
  readonly duration = new Latencies();

  constructor({ day, registry, endpoint, outcome, isHead }: Alike) {
    this.day = day;
    this.registry = registry;
    this.endpoint = endpoint;
    this.outcome = outcome;
    this.isHead = isHead;
  }

  add({ bytes, firstByteMs, durationMs }: RequestFacts, isPull: boolean): void {
    this.requests += 1;
    this.bytes += bytes;
    if (isPull) this.pulls += 1;
    if (firstByteMs !== undefined) this.firstByte.add(firstByteMs);
    this.duration.add(durationMs);
  }
}

/** The error is what the answer ended with, if with one. */
function outcomeOf({ status, outcome }: RequestFacts, error: unknown): CountedOutcome {
  if (status !== undefined && status >= 500) return "failed";
  if (status !== undefined && status >= 400) return "refused";
  // The head had gone out: only a broken connection could tell.
  if (error !== undefined && status !== undefined && !(error instanceof ClientGone)) return "failed";
  const kind = outcome?.startsWith("stale-") === true ? "stale" : outcome;
  return COUNTED_OUTCOMES.find((one) => one === kind) ?? "other";
}

/** UTC days since the epoch. */
export function dayOf(atMs: number): number {
  return Math.floor(atMs / MS_PER_DAY);
}
