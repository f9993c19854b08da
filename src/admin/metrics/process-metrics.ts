import { readdir, readFile } from "node:fs/promises";
import { addTo, type Counted, type Histogram, LAG_ENDS_S, newHistogram, observe } from "./histogram.ts";
import type { Samples } from "./samples.ts";

/** How a process fares; plain, to be sent. */
export interface ProcessFacts {
  readonly cpuS: number;
  readonly memoryBytes: number;
  readonly heapBytes: number;
  /** Undefined where the system does not say. */
  readonly openFds: number | undefined;
  readonly maxFds: number | undefined;
  /** Since the facts were taken before. */
  readonly lag: Counted;
}

/** How often it is looked whether a timer comes in time. */
const LAG_EVERY_MS = 250;

/** Measures how long whatever is ready has to wait for its turn. */
export class EventLoopLag {
  #histogram = newHistogram(LAG_ENDS_S);
  readonly #timer: NodeJS.Timeout;

  constructor() {
    let dueAtMs = performance.now() + LAG_EVERY_MS;
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      observe(this.#histogram, Math.max(0, nowMs - dueAtMs) / 1_000);
      dueAtMs = nowMs + LAG_EVERY_MS;
    }, LAG_EVERY_MS).unref();
  }

  take(): Counted {
    const taken = this.#histogram;
    this.#histogram = newHistogram(LAG_ENDS_S);
    return { counts: taken.counts, sumS: taken.sumS };
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** Looks at this process. */
export async function processFacts(lag: EventLoopLag): Promise<ProcessFacts> {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  const [openFds, maxFds] = await Promise.all([countedFds(), fdsMax()]);
  return { cpuS: (user + system) / 1e6, memoryBytes: rss, heapBytes: heapUsed, openFds, maxFds, lag: lag.take() };
}

/** The descriptor that counts them is one of them. */
async function countedFds(): Promise<number | undefined> {
  return await readdir("/proc/self/fd").then(
    (names) => names.length - 1,
    () => undefined,
  );
}

async function fdsMax(): Promise<number | undefined> {
  const text = await readFile("/proc/self/limits", "utf8").catch(() => "");
  const [, soft] = /^Max open files\s+(\d+)/m.exec(text) ?? [];
  return soft === undefined ? undefined : Number(soft);
}

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
