import type { RequestFacts } from "../../server/request-facts.ts";
import { addTo, FIRST_BYTE_ENDS_S, type Histogram, newHistogram, observe, WHOLE_ENDS_S } from "./histogram.ts";
import type { Samples } from "./samples.ts";

/** Requests of one registry and kind that were answered from one place. */
interface Timed {
  readonly registry: string;
  readonly kind: RequestKind;
  readonly source: Source;
  readonly firstByte: Histogram;
  readonly whole: Histogram;
}

/** HEADs, manifests and blobs are apart: they take a thousand times as long as each other. */
export type RequestKind = "head" | "manifest" | "blob" | "list" | "other";

/** From what is held, or from the upstream while the client waited. */
export type Source = "cache" | "upstream";

interface Counted {
  readonly registry: string;
  readonly kind: RequestKind;
  readonly code: string;
  count: number;
}

/** What a front has counted since it told the owner last; plain, to be sent. */
export interface RequestTimes {
  readonly timed: readonly (Omit<Timed, "firstByte" | "whole"> & {
    readonly firstByte: Pick<Histogram, "counts" | "sumS">;
    readonly whole: Pick<Histogram, "counts" | "sumS">;
  })[];
  readonly answers: readonly Readonly<Counted>[];
}

/** What was answered since the start, and how long that took. Costs a hit three look-ups. */
export class RequestMetrics {
  #timed = new Map<string, Timed>();
  #answers = new Map<string, Counted>();

  /** One request that is over. What was none of the registry API is left out. */
  note({ registry, method, endpoint, outcome, status, isWhole, firstByteMs, durationMs }: RequestFacts): void {
    if (registry === undefined || endpoint === undefined) return;
    const kind = kindOf(method, endpoint);
    this.#answer(registry, kind, isWhole ? codeOf(status) : ABORTED).count += 1;
    const source = sourceOf(outcome);
    if (source === undefined) return;
    const timed = this.#of(registry, kind, source);
    if (firstByteMs !== undefined) observe(timed.firstByte, firstByteMs / MS_PER_S);
    if (isWhole) observe(timed.whole, durationMs / MS_PER_S);
  }

  /** Adds what another process has counted. */
  add({ timed, answers }: RequestTimes): void {
    for (const { registry, kind, source, firstByte, whole } of timed) {
      const own = this.#of(registry, kind, source);
      addTo(own.firstByte, firstByte);
      addTo(own.whole, whole);
    }
    for (const { registry, kind, code, count } of answers) this.#answer(registry, kind, code).count += count;
  }

  /** What has come since it was taken last; undefined where that is nothing. */
  take(): RequestTimes | undefined {
    if (this.#answers.size === 0) return undefined;
    const taken = { timed: [...this.#timed.values()], answers: [...this.#answers.values()] };
    this.#timed = new Map();
    this.#answers = new Map();
    return taken;
  }

  collect(samples: Samples): void {
    for (const { registry, kind, code, count } of this.#answers.values()) {
      if (code === ABORTED) samples.put("aborted_requests_total", { registry, kind }, count);
      else samples.put("responses_total", { registry, kind, code }, count);
    }
    for (const { registry, kind, source, firstByte, whole } of this.#timed.values()) {
      samples.put("first_byte_seconds", { registry, kind, source }, firstByte);
      samples.put("response_seconds", { registry, kind, source }, whole);
    }
  }

  #of(registry: string, kind: RequestKind, source: Source): Timed {
    const key = `${registry} ${kind} ${source}`;
    let timed = this.#timed.get(key);
    if (timed === undefined) {
      timed = { registry, kind, source, firstByte: newHistogram(FIRST_BYTE_ENDS_S), whole: newHistogram(WHOLE_ENDS_S) };
      this.#timed.set(key, timed);
    }
    return timed;
  }

  #answer(registry: string, kind: RequestKind, code: string): Counted {
    const key = `${registry} ${kind} ${code}`;
    let counted = this.#answers.get(key);
    if (counted === undefined) {
      counted = { registry, kind, code, count: 0 };
      this.#answers.set(key, counted);
    }
    return counted;
  }
}

const MS_PER_S = 1_000;

const ABORTED = "aborted";

export function kindOf(method: string, endpoint: string): RequestKind {
  if (method === "HEAD") return "head";
  if (endpoint === "manifest" || endpoint === "blob") return endpoint;
  return endpoint === "tags" || endpoint === "referrers" || endpoint === "catalog" ? "list" : "other";
}

/** Undefined where nothing was served. */
export function sourceOf(outcome: string | undefined): Source | undefined {
  if (outcome === undefined) return undefined;
  return outcome === "miss" || outcome === "joined" || outcome === "unkept" ? "upstream" : "cache";
}

/** `2xx`; without an answer nobody knows. */
export function codeOf(status: number | undefined): string {
  return status === undefined ? "none" : `${Math.floor(status / 100)}xx`;
}
