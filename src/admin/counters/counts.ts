import type { NamedCounts } from "../../catalog/counting.ts";
import type { FillEnd } from "../../pull/activity.ts";
import { COUNTED_OUTCOMES, type CountedOutcome, SAVING_OUTCOMES } from "../../server/request-sums.ts";

/** What has happened at one registry, on a day or ever. Bytes are those of bodies. */
export interface Counts {
  readonly requests: ByOutcome;
  /** Handed to clients' sockets. */
  readonly bytesServed: ByOutcome;
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

type ByOutcome = Readonly<Record<CountedOutcome, number>>;

/** What the catalog calls what is counted. */
export type CounterName =
  | `requests.${CountedOutcome}`
  | `served.${CountedOutcome}`
  | `pulls.${CountedOutcome}`
  | `fills.${"begun" | FillEnd}`
  | "fetched"
  | "evictions"
  | "evicted";

export interface RegistryCounts {
  readonly registryId: string;
  readonly counts: Counts;
}

export interface DayCounts {
  /** `2026-11-26`, of UTC. */
  readonly day: string;
  /** In the order of registries' ids. */
  readonly registries: readonly RegistryCounts[];
}

/** What counters tell whoever asks; all that was heard of before the question is in it. */
export interface CountersView {
  /** Of all time, in the order of registries' ids. */
  total(): Promise<readonly RegistryCounts[]>;
  /** From one day to another (`2026-11-26`), both included; days without anything are left out. */
  byDay(from: string, to: string): Promise<readonly DayCounts[]>;
}

/** What named counters come to. */
export function countsOf(named: NamedCounts): Counts {
  const of = (name: CounterName) => named.get(name) ?? 0;
  const byOutcome = (what: "requests" | "served" | "pulls") =>
    Object.fromEntries(COUNTED_OUTCOMES.map((outcome) => [outcome, of(`${what}.${outcome}`)])) as ByOutcome;
  const [bytesServed, pulls] = [byOutcome("served"), byOutcome("pulls")];
  const saved = (counts: ByOutcome) => SAVING_OUTCOMES.reduce((sum, outcome) => sum + counts[outcome], 0);
  return {
    requests: byOutcome("requests"),
    bytesServed,
    bytesSaved: saved(bytesServed),
    bytesFetched: of("fetched"),
    pulls: Object.values(pulls).reduce((sum, count) => sum + count, 0),
    pullsSaved: saved(pulls),
    fills: {
      begun: of("fills.begun"),
      done: of("fills.done"),
      failed: of("fills.failed"),
      unkept: of("fills.unkept"),
      paused: of("fills.paused"),
    },
    evictions: of("evictions"),
    bytesEvicted: of("evicted"),
  };
}
