const MIB = 1024 * 1024;

/** The value below which `share` (0 to 1) of them lie. */
export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new Error("no values, no percentile");
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number;
}

/** `12 ms`, `3.4 s`. */
export function ms(value: number): string {
  if (value >= 10_000) return `${(value / 1000).toFixed(0)} s`;
  return value >= 1_000 ? `${(value / 1000).toFixed(1)} s` : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

/** `85 MiB`. */
export function mib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}
