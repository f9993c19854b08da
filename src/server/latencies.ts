/** Upper ends of the classes that latencies are counted in, milliseconds; beyond the last one there is another class. */
export const LATENCY_CLASSES_MS = [
  0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000,
] as const;

/** Latencies, added up: one number for each class, and one for what is slower than all of them. */
export interface LatencySum {
  readonly count: number;
  /** Milliseconds. */
  readonly sumMs: number;
  readonly classes: readonly number[];
}

/** Adds latencies up. */
export class Latencies implements LatencySum {
  count = 0;
  sumMs = 0;
  readonly classes: number[] = Array.from({ length: LATENCY_CLASSES_MS.length + 1 }, () => 0);

  add(ms: number): void {
    this.count += 1;
    this.sumMs += ms;
    let at = 0;
    while (at < LATENCY_CLASSES_MS.length && ms > (LATENCY_CLASSES_MS[at] ?? 0)) at += 1;
    this.classes[at] = (this.classes[at] ?? 0) + 1;
  }
}
