import { COUNTED_OUTCOMES } from "../../server/request-sums.ts";
import { FILL_ENDS } from "../../pull/activity.ts";
import type { CountersView } from "../counters/counts.ts";
import type { Samples } from "./samples.ts";

/** The counters of all time, as whoever else asks for them is told. */
export async function collectCounters(counters: Pick<CountersView, "total">, samples: Samples): Promise<void> {
  for (const { registryId: registry, counts } of await counters.total()) {
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
