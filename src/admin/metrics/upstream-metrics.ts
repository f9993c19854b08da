import type { Quota } from "../../upstream/quota.ts";
import type { UpstreamAsked, UpstreamObserver } from "../../upstream/observer.ts";
import { Counts } from "./counts.ts";
import { type Histogram, newHistogram, observe } from "../../lib/histogram.ts";

import type { Samples } from "./samples.ts";

/** Until an upstream answers, seconds. */
const UPSTREAM_ENDS_S: readonly number[] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

type Answer = Parameters<NonNullable<UpstreamObserver["answered"]>>[1];
type Token = Parameters<NonNullable<UpstreamObserver["tokenFetched"]>>[1];
type Availability = Parameters<NonNullable<UpstreamObserver["availability"]>>[1];
type Failure = Parameters<NonNullable<UpstreamObserver["failed"]>>[2];

/** What upstreams have answered since the start. */
export class UpstreamMetrics implements UpstreamObserver {
  readonly #answers = new Counts<"registry" | "asked" | "code">();
  readonly #failures = new Counts<"registry" | "asked" | "reason">();
  readonly #tokens = new Counts<"registry" | "result">();
  readonly #times = new Map<string, { registry: string; asked: UpstreamAsked; histogram: Histogram }>();
  readonly #quotas = new Map<string, Quota>();
  readonly #isAvailable: Map<string, boolean>;

  constructor(registryIds: readonly string[]) {
    this.#isAvailable = new Map(registryIds.map((id) => [id, true]));
  }

  answered(registry: string, { asked, status, ms }: Answer): void {
    this.#answers.add({ registry, asked, code: codeOf(status) });
    const key = `${registry} ${asked}`;
    let times = this.#times.get(key);
    if (times === undefined) {
      times = { registry, asked, histogram: newHistogram(UPSTREAM_ENDS_S) };
      this.#times.set(key, times);
    }
    observe(times.histogram, ms / 1_000);
  }

  failed(registry: string, asked: UpstreamAsked, reason: Failure): void {
    this.#failures.add({ registry, asked, reason });
  }

  tokenFetched(registry: string, { isGiven }: Token): void {
    this.#tokens.add({ registry, result: isGiven ? "given" : "refused" });
  }

  availability(registry: string, { isAvailable }: Availability): void {
    this.#isAvailable.set(registry, isAvailable);
  }

  quota(registry: string, quota: Quota): void {
    this.#quotas.set(registry, quota);
  }

  collect(samples: Samples): void {
    for (const { labels, count } of this.#answers) samples.put("upstream_answers_total", labels, count);
    for (const { labels, count } of this.#failures) samples.put("upstream_failures_total", labels, count);
    for (const { labels, count } of this.#tokens) samples.put("token_fetches_total", labels, count);
    for (const { registry, asked, histogram } of this.#times.values()) {
      samples.put("upstream_answer_seconds", { registry, asked }, histogram);
    }
    for (const [registry, { limit, remaining }] of this.#quotas) {
      samples.put("quota_limit_pulls", { registry }, limit);
      samples.put("quota_remaining_pulls", { registry }, remaining);
    }
    for (const [registry, isAvailable] of this.#isAvailable) {
      samples.put("upstream_available", { registry }, isAvailable ? 1 : 0);
    }
  }
}

/** `2xx`: of single statuses nobody draws a graph. */
function codeOf(status: number): string {
  return `${Math.floor(status / 100)}xx`;
}
