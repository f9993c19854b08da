import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { seededBytes } from "../support/bytes.ts";
import { eventually } from "../support/open-files.ts";
import type { HasAfter } from "../support/temp.ts";
import { type BenchOptions, REPOSITORY, startBench } from "./support/bench.ts";
import { askUnread, begun, crowd, dial, leave } from "./support/clients.ts";
import { pull } from "./support/ending.ts";
import { fault, inForm, isLong } from "./support/fault.ts";
import { mib, ms } from "./support/figures.ts";
import type { HeldContent } from "./support/hits.ts";
import { descriptors, residentBytes } from "./support/process.ts";
import { SPARE_DESCRIPTORS, conditionOf, judgePace, judgeRemains } from "./support/unaffected.ts";

const MIB = 1024 * 1024;
const GOOD_BYTES = inForm({ short: 1, long: 4 }) * MIB;
/** More than two kernels' buffers take of a response that nobody reads. */
const LARGE_BYTES = inForm({ short: 32, long: 64 }) * MIB;
/** Bad clients that are busy at the same time. */
const AT_ONCE = 10;

const IDLE = inForm({ short: 100, long: 1_000 });
/** headers_timeout of the listener, how often that is looked at, and some time. */
const IDLE_MAX_MS = 15_000 + 5_000 + 5_000;

const SLOW = inForm({ short: 10, long: 200 });
const SLOW_FOR_S = inForm({ short: 1, long: 20 });
const SLOW_BYTES_PER_S = 1_000;
/** Two read buffers of 256 KiB each, and what Node and the kernel's accounting need beside them. */
const SLOW_EACH_BYTES_MAX = 768 * 1024;

const ABORTS = inForm({ short: 50, long: 5_000 });
const RANGES = inForm({ short: 200, long: 10_000 });
const HALF_OPEN = inForm({ short: 40, long: 200 });
/** Of the listener, which has 5 minutes otherwise. */
const SOCKET_IDLE_MS = inForm({ short: 2_000, long: 5_000 });
/** Node takes the rest of a write that was half done for something that moves, once. */
const GONE_MAX_MS = 2 * SOCKET_IDLE_MS + inForm({ short: 15_000, long: 2_000 });

interface Held {
  readonly pid: number;
  readonly url: string;
  /** What somebody with good manners pulls meanwhile. */
  readonly good: HeldContent;
  /** What the others ask for. */
  readonly large: HeldContent;
  readonly addCold: (seed: string) => HeldContent;
}

async function startHeld(t: HasAfter, options: BenchOptions = {}): Promise<Held> {
  const { upstream, url, cache } = await startBench(t, options);
  const add = (seed: string, size: number) => {
    const bytes = seededBytes(size, seed);
    return { url: `${url}/blobs/${upstream.addBlob(REPOSITORY, bytes)}`, bytes };
  };
  const [good, large] = [add("good", GOOD_BYTES), add("large", LARGE_BYTES)];
  for (const one of [good, large]) assert.equal((await pull(one.url, one.bytes)).how, "right");
  return { pid: cache.pid, url, good, large, addCold: (seed) => add(seed, GOOD_BYTES) };
}

fault(
  "clients: idle connections (1,000)",
  "closed by the cache within 25 s; memory flat, descriptors return to base, others unaffected",
  async (t) => {
    const { pid, good } = await startHeld(t);
    const before = await conditionOf(pid, good);
    const sockets: Socket[] = [];
    await crowd(IDLE, AT_ONCE, async () => void sockets.push(await dial(good.url)));
    await eventually(async () => (await descriptors(pid)) >= IDLE);
    const beside = await conditionOf(pid, good);
    t.show(`${IDLE} connections, ${mib(beside.residentBytes - before.residentBytes)} for all of them`);
    t.show(judgePace(before, beside));
    if (isLong) {
      const startedMs = performance.now();
      await Promise.all(sockets.map(async (socket) => await once(socket.resume(), "close")));
      const closedMs = performance.now() - startedMs;
      assert.ok(closedMs < IDLE_MAX_MS, ms(closedMs));
      t.show(`all closed by the cache after ${ms(closedMs)}`);
    }
    await Promise.all(sockets.map(leave));
    t.show(await judgeRemains(pid, before));
  },
);

fault(
  "clients: slow readers (1 KB/s)",
  "at most 768 KiB of memory for each; descriptors return to base, others unaffected",
  async (t) => {
    const { pid, good, large } = await startHeld(t);
    const before = await conditionOf(pid, good);
    const sockets = await Promise.all(Array.from({ length: SLOW }, async () => await askUnread(large.url)));
    const reading = Promise.all(sockets.map(async (socket) => await readSlowly(socket)));
    const beside = await conditionOf(pid, good);
    t.show(judgePace(before, beside));
    await reading;
    const grown = (await residentBytes(pid)) - before.residentBytes;
    assert.ok(grown < SLOW * SLOW_EACH_BYTES_MAX + 32 * MIB, `${mib(grown)} for ${SLOW} of them`);
    t.show(`${SLOW} readers of ${mib(LARGE_BYTES)} for ${SLOW_FOR_S} s, ${mib(grown)} for all of them`);
    await Promise.all(sockets.map(leave));
    t.show(await judgeRemains(pid, { ...before, residentBytes: before.residentBytes + Math.max(0, grown) }));
  },
);

async function readSlowly(socket: Socket): Promise<void> {
  await begun(socket);
  for (let second = 0; second < SLOW_FOR_S; second += 1) {
    await delay(1_000);
    socket.read(SLOW_BYTES_PER_S);
  }
}

fault(
  "clients: aborts in mid-body, held and cold",
  "memory flat, descriptors return to base, others unaffected; what was cold is held afterwards",
  async (t) => {
    const { pid, good, large, addCold } = await startHeld(t);
    const cold = Array.from({ length: 10 }, (_, index) => addCold(`cold ${index}`));
    const abort = async (index: number) => {
      const { url } = index % 2 === 0 ? large : (cold[index % cold.length] as HeldContent);
      const socket = await askUnread(url);
      await begun(socket);
      await leave(socket);
    };
    await crowd(ABORTS, AT_ONCE, abort);
    for (const one of cold) assert.equal((await pull(one.url, one.bytes)).how, "right");
    const before = await conditionOf(pid, good);
    const aborting = crowd(ABORTS, AT_ONCE, abort);
    const beside = await conditionOf(pid, good);
    await aborting;
    t.show(`${ABORTS} aborts`);
    t.show(judgePace(before, beside, AT_ONCE));
    t.show(await judgeRemains(pid, before));
  },
);

fault(
  "clients: aborted range requests (10,000)",
  "memory flat, descriptors return to base, others unaffected",
  async (t) => {
    const { pid, good, large } = await startHeld(t);
    const abort = async (index: number) => {
      const start = (index * 7919) % (LARGE_BYTES - MIB);
      const socket = await askUnread(large.url, { Range: `bytes=${start}-${start + MIB}` });
      if (index % 2 === 0) await begun(socket);
      await leave(socket);
    };
    // As many before: V8's heap reaches its size only then.
    await crowd(RANGES, AT_ONCE, abort);
    const before = await conditionOf(pid, good);
    const aborting = crowd(RANGES, AT_ONCE, abort);
    const beside = await conditionOf(pid, good);
    await aborting;
    t.show(`${RANGES} requests, every second one aborted before its answer`);
    t.show(judgePace(before, beside, AT_ONCE));
    t.show(await judgeRemains(pid, before));
  },
);

fault(
  "clients: half-open sockets, which take nothing and never close",
  "memory bounded, others unaffected; closed by the cache within twice its socketIdle (5 minutes, here 5 s), descriptors return to base",
  async (t) => {
    const { pid, good, large } = await startHeld(t, { limits: { socketIdleMs: SOCKET_IDLE_MS } });
    const before = await conditionOf(pid, good);
    const sockets = await Promise.all(Array.from({ length: HALF_OPEN }, async () => await askUnread(large.url)));
    // They share the file.
    await eventually(async () => (await descriptors(pid)) >= before.descriptors + HALF_OPEN);
    const beside = await conditionOf(pid, good);
    const grown = beside.residentBytes - before.residentBytes;
    assert.ok(grown < HALF_OPEN * SLOW_EACH_BYTES_MAX + 32 * MIB, `${mib(grown)} for ${HALF_OPEN} of them`);
    t.show(`${HALF_OPEN} sockets, ${mib(grown)} for all of them`);
    t.show(judgePace(before, beside));
    t.show(`all closed by the cache after ${ms(await closedByCache(pid, before.descriptors))}`);
    await Promise.all(sockets.map(leave));
    t.show(await judgeRemains(pid, { ...before, residentBytes: Math.max(before.residentBytes, beside.residentBytes) }));
  },
);

/** Nobody is told: the cache's end is gone while this one still has bytes to read. */
async function closedByCache(pid: number, base: number): Promise<number> {
  const startedMs = performance.now();
  while ((await descriptors(pid)) > base + SPARE_DESCRIPTORS) {
    assert.ok(performance.now() - startedMs < GONE_MAX_MS, `${await descriptors(pid)} descriptors still`);
    await delay(50);
  }
  return performance.now() - startedMs;
}
