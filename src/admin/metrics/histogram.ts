/** Counts by how long something took, so that many are one object and two can be added. */
export interface Histogram {
  /** Upper ends of the buckets, inclusive, seconds, growing. */
  readonly ends: readonly number[];
  /** One for each bucket, and one for what is above all of them. */
  readonly counts: number[];
  sumS: number;
}

/** For the first byte: a hit takes a millisecond, a slow upstream half a minute. */
export const FIRST_BYTE_ENDS_S: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];
/** For all of an answer: a layer of some gigabytes at a slow client takes an hour. */
export const WHOLE_ENDS_S: readonly number[] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800];
export const UPSTREAM_ENDS_S: readonly number[] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
export const LAG_ENDS_S: readonly number[] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

export function newHistogram(ends: readonly number[]): Histogram {
  return { ends, counts: Array.from({ length: ends.length + 1 }, () => 0), sumS: 0 };
}

export function observe(histogram: Histogram, valueS: number): void {
  const { ends, counts } = histogram;
  let at = 0;
  while (at < ends.length && valueS > (ends[at] as number)) at += 1;
  counts[at] = (counts[at] as number) + 1;
  histogram.sumS += valueS;
}

/** What another process has counted, in the same buckets. */
export function addTo(histogram: Histogram, { counts, sumS }: Pick<Histogram, "counts" | "sumS">): void {
  for (const [at, count] of counts.entries()) histogram.counts[at] = (histogram.counts[at] ?? 0) + count;
  histogram.sumS += sumS;
}
