import { readdir, readFile } from "node:fs/promises";
import { type Counted, newHistogram, observe } from "./histogram.ts";

/** Buckets of the event loop's lag, seconds. */
export const LAG_ENDS_S: readonly number[] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

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
  #timer: NodeJS.Timeout | undefined;

  start(): void {
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
