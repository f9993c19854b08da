import assert from "node:assert/strict";
import { eventually } from "../../support/open-files.ts";
import { pull } from "./ending.ts";
import { inForm, isLong } from "./fault.ts";
import { mib, ms, percentile } from "./figures.ts";
import type { HeldContent } from "./hits.ts";
import { descriptors, residentBytes } from "./process.ts";

const MIB = 1024 * 1024;
const PULLS = inForm({ short: 3, long: 15 });
/** Beyond a fair share: two cores carry the cache, the bad clients and the good one. */
const SLOWER_SPARE_MS = 200;
/** Connections to the upstream that are kept for a while, and what Node opens lazily. */
export const SPARE_DESCRIPTORS = 20;
/** What V8's heap may breathe. */
const BREATH_BYTES = 48 * MIB;

/** What a process costs and how fast it serves, to be compared. */
export interface Condition {
  readonly residentBytes: number;
  readonly descriptors: number;
  readonly pullMs: number;
}

export async function conditionOf(pid: number, good: HeldContent): Promise<Condition> {
  const pullMs = await paceOf(good);
  return { residentBytes: await residentBytes(pid), descriptors: await descriptors(pid), pullMs };
}

/** The median of some pulls, each verified. */
async function paceOf({ url, bytes }: HeldContent): Promise<number> {
  const tookMs: number[] = [];
  for (let count = 0; count < PULLS; count += 1) {
    const { how, afterMs } = await pull(url, bytes);
    assert.equal(how, "right");
    tookMs.push(afterMs);
  }
  return percentile(tookMs, 0.5);
}

/** Judges the pace of good clients while bad ones are there, of which so many are busy: a fair share is theirs. */
export function judgePace(before: Condition, beside: Condition, busy = 1): string {
  const maxMs = before.pullMs * (1 + busy) + SLOWER_SPARE_MS;
  if (isLong)
    assert.ok(beside.pullMs < maxMs, `a pull beside it took ${ms(beside.pullMs)}, ${ms(before.pullMs)} before`);
  return `a pull took ${ms(beside.pullMs)} beside it, ${ms(before.pullMs)} before`;
}

/** Judges what is left when the bad ones are gone; says it. `before` is after the warm-up. */
export async function judgeRemains(pid: number, before: Condition): Promise<string> {
  await eventually(async () => (await descriptors(pid)) <= before.descriptors + SPARE_DESCRIPTORS);
  const [after, open] = [await residentBytes(pid), await descriptors(pid)];
  const grown = after - before.residentBytes;
  assert.ok(grown < BREATH_BYTES, `${mib(before.residentBytes)} before, ${mib(after)} after`);
  return `resident ${mib(before.residentBytes)} before, ${mib(after)} after; descriptors ${before.descriptors}, ${open}`;
}
