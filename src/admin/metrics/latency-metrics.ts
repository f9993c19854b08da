import { LATENCY_CLASSES_MS, type LatencySum } from "../../server/latencies.ts";
import { type CountedOutcome, type RequestSum, SAVING_OUTCOMES } from "../../server/request-sums.ts";
import { addTo, type Counted, type Histogram, newHistogram } from "../../lib/histogram.ts";
import type { Samples } from "./samples.ts";

/** What takes as long as its like: HEADs, manifests and blobs are a thousand times apart. */
export type RequestKind = "head" | "manifest" | "blob" | "list";

/** From what is held, or from the upstream while the client waited. */
export type Source = "cache" | "upstream";

interface Timed {
  readonly registry: string;
  readonly kind: RequestKind;
  readonly source: Source;
  readonly firstByte: Histogram;
  readonly whole: Histogram;
}

const MS_PER_S = 1_000;
const ENDS_S = LATENCY_CLASSES_MS.map((ms) => ms / MS_PER_S);

/** How long answers took since the start, in all processes. */
export class LatencyMetrics {
  readonly #timed = new Map<string, Timed>();

  /** What was counted lately, here or in a front. */
  add(sums: readonly RequestSum[]): void {
    for (const { registry, endpoint, isHead, outcome, firstByte, duration } of sums) {
      const kind = kindOf(endpoint, isHead);
      const source = sourceOf(outcome);
      if (registry === undefined || kind === undefined || source === undefined) continue;
      const timed = this.#of(registry, kind, source);
      addTo(timed.firstByte, secondsOf(firstByte));
      addTo(timed.whole, secondsOf(duration));
    }
  }

  collect(samples: Samples): void {
    for (const { registry, kind, source, firstByte, whole } of this.#timed.values()) {
      samples.put("first_byte_seconds", { registry, kind, source }, firstByte);
      samples.put("response_seconds", { registry, kind, source }, whole);
    }
  }

  #of(registry: string, kind: RequestKind, source: Source): Timed {
    const key = `${registry} ${kind} ${source}`;
    let timed = this.#timed.get(key);
    if (timed === undefined) {
      timed = { registry, kind, source, firstByte: newHistogram(ENDS_S), whole: newHistogram(ENDS_S) };
      this.#timed.set(key, timed);
    }
    return timed;
  }
}

function secondsOf({ classes, sumMs }: LatencySum): Counted {
  return { counts: classes, sumS: sumMs / MS_PER_S };
}

function kindOf(endpoint: string | undefined, isHead: boolean): RequestKind | undefined {
  switch (endpoint) {
    case "manifest":
    case "blob":
      return isHead ? "head" : endpoint;
    case "tags":
    case "referrers":
      return "list";
    default:
      return undefined;
  }
}

/** Undefined where nothing was served. */
function sourceOf(outcome: CountedOutcome): Source | undefined {
  if (outcome === "miss" || outcome === "joined" || outcome === "unkept") return "upstream";
  return SAVING_OUTCOMES.some((one) => one === outcome) ? "cache" : undefined;
}
