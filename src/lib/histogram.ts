/** Counts by how long something took, so that many are one object and two can be added. */
export interface Histogram {
  /** Upper ends of the buckets, inclusive, seconds, growing. */
  readonly ends: readonly number[];
  /** One for each bucket, and one for what is above all of them. */
  readonly counts: number[];
  sumS: number;
}

/** The counts of a histogram; plain, to be sent. */
export interface Counted {
  readonly counts: readonly number[];
  readonly sumS: number;
}

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

/** What was counted elsewhere, in the same buckets. */
export function addTo(histogram: Histogram, { counts, sumS }: Counted): void {
  for (const [at, count] of counts.entries()) histogram.counts[at] = (histogram.counts[at] ?? 0) + count;
  histogram.sumS += sumS;
}
