import { addTo, type Histogram, newHistogram } from "../../lib/histogram.ts";
import { LAG_ENDS_S, type ProcessFacts } from "../../lib/process-facts.ts";
import type { Samples } from "./samples.ts";

/** The process that does everything; the others are `front-1` and so on. */
const OWNER = "owner";

/** The processes as they have last told of themselves. */
export class ProcessMetrics {
  readonly #latest = new Map<string, ProcessFacts>();
  readonly #lags = new Map<string, Histogram>();

  hearOwner(facts: ProcessFacts): void {
    this.#hear(OWNER, facts);
  }

  #hear(name: string, facts: ProcessFacts): void {
    this.#latest.set(name, facts);
    const lag = this.#lags.get(name) ?? newHistogram(LAG_ENDS_S);
    this.#lags.set(name, lag);
    addTo(lag, facts.lag);
  }

  /** All that there are; one that does not answer is left out. */
  hearFronts(fronts: ReadonlyMap<number, ProcessFacts>): void {
    for (const name of this.#latest.keys()) if (name !== OWNER) this.#latest.delete(name);
    for (const [number, facts] of fronts) this.#hear(`front-${number}`, facts);
  }

  collect(samples: Samples): void {
    for (const [process, { cpuS, memoryBytes, heapBytes, openFds, maxFds }] of this.#latest) {
      samples.put("process_cpu_seconds_total", { process }, cpuS);
      samples.put("process_resident_memory_bytes", { process }, memoryBytes);
      samples.put("process_heap_bytes", { process }, heapBytes);
      if (openFds !== undefined) samples.put("process_open_fds", { process }, openFds);
      if (maxFds !== undefined) samples.put("process_max_fds", { process }, maxFds);
    }
    for (const [process, lag] of this.#lags) samples.put("event_loop_lag_seconds", { process }, lag);
  }
}
