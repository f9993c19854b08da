import type { Config } from "../../config/config.ts";
import { COUNTED_OUTCOMES } from "../../server/request-sums.ts";
import { FILL_ENDS } from "../../pull/activity.ts";
import { countsOf, type CountersView } from "../counters/counts.ts";
import type { Samples } from "./samples.ts";

export interface CounterSources {
  readonly config: Pick<Config, "registries">;
  readonly counters: Pick<CountersView, "total">;
}

/**
 * The counters of all time, as whoever else asks for them is told. A registry that nobody has asked for counts from 0: what came to
 * a counter before Prometheus had seen it is in no rate.
 */
export async function collectCounters({ config, counters }: CounterSources, samples: Samples): Promise<void> {
  const known = await counters.total();
  const ids = new Set(known.map(({ registryId }) => registryId));
  const unasked = config.registries.filter(({ id }) => !ids.has(id));
  const zeros = unasked.map(({ id }) => ({ registryId: id, counts: countsOf(new Map()) }));
  for (const { registryId: registry, counts } of [...known, ...zeros]) {
    for (const outcome of COUNTED_OUTCOMES) {
      samples.put("requests_total", { registry, outcome }, counts.requests[outcome]);
      samples.put("served_bytes_total", { registry, outcome }, counts.bytesServed[outcome]);
    }
    for (const result of FILL_ENDS) samples.put("fills_total", { registry, result }, counts.fills[result]);
    samples.put("saved_bytes_total", { registry }, counts.bytesSaved);
    samples.put("fetched_bytes_total", { registry }, counts.bytesFetched);
    samples.put("pulls_total", { registry }, counts.pulls);
    samples.put("pulls_saved_total", { registry }, counts.pullsSaved);
    samples.put("evicted_images_total", { registry }, counts.evictions);
    samples.put("evicted_bytes_total", { registry }, counts.bytesEvicted);
  }
}
