/** The middle of several measurements, and how far they lie apart. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Undefined without any measurement. */
export function spreadOf(values: readonly number[]): Spread | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[Math.floor(sorted.length / 2)]];
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (low === undefined || high === undefined || min === undefined || max === undefined) return undefined;
  return { median: (low + high) / 2, min, max };
}

/**
 * Two candidates compared within each round and only then over the rounds: a machine that was slow for a while was slow for
 * both. Rounds in which one of them has no figure are left out.
 */
export function pairwise(
  ours: readonly (number | undefined)[],
  theirs: readonly (number | undefined)[],
  compare: (our: number, their: number) => number,
): Spread | undefined {
  const pairs = ours.flatMap((our, round) => {
    const their = theirs[round];
    return our === undefined || their === undefined ? [] : [compare(our, their)];
  });
  return spreadOf(pairs);
}
