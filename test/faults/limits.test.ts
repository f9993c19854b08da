import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { FakeUpstream } from "../support/fake-upstream.ts";
import { type Bench, REPOSITORY, startBench } from "./support/bench.ts";
import { untilRight } from "./support/cold.ts";
import { type Ending, pull } from "./support/ending.ts";
import { fault, inForm, isLong } from "./support/fault.ts";
import { ms } from "./support/figures.ts";
import { hitsDuring, judgeHits } from "./support/hits.ts";

const RETRY_AFTER_S = inForm({ short: 1, long: 3 });
/** How often the limit is met anew after its pause, before it is lifted. */
const PAUSES = inForm({ short: 1, long: 5 });
const CLIENTS = inForm({ short: 10, long: 50 });
/** An upstream's answer takes so long, so that two at a time would be seen. */
const ANSWER_MS = 100;
/** Timers of two processes, and the whole seconds of Retry-After. */
const CLOCK_MS = 50;
/** Between a client's requests. */
const AGAIN_MS = 20;
/** Without a Retry-After: the pause that follows all the same, `RATE_LIMIT_PAUSE_MS` of the breaker. */
const PAUSE_S = 10;

interface Limit {
  /** When requests came, milliseconds; and how many were on their way at most. */
  readonly arrivedMs: number[];
  most: number;
  lift(): void;
}

/** Refuses everything until it is lifted, and watches how it is asked meanwhile. */
function limit(upstream: FakeUpstream, answer: { status: number; headers: Record<string, string> }): Limit {
  let now = 0;
  const handler = async (_: IncomingMessage, res: ServerResponse) => {
    seen.arrivedMs.push(performance.now());
    seen.most = Math.max(seen.most, (now += 1));
    await delay(ANSWER_MS);
    now -= 1;
    res.writeHead(answer.status, answer.headers).end();
  };
  const script = upstream.script({}, { kind: "answer", handler, times: Infinity });
  const seen: Limit = { arrivedMs: [], most: 0, lift: () => script.remove() };
  return seen;
}

/** Many clients that come again and again whatever they are told, each for something else: held and not. */
async function storm(bench: Bench, isOver: () => boolean): Promise<{ cold: Ending[]; stale: Ending[] }> {
  const seen = { cold: [] as Ending[], stale: [] as Ending[] };
  const bytes = Buffer.alloc(0);
  const client = async (index: number) => {
    for (let turn = 0; !isOver(); turn += 1) {
      const { url, moving } = bench;
      if (turn % 2 === 0) seen.cold.push(await pull(`${url}/manifests/cold-${index}-${turn}`, bytes));
      else seen.stale.push(await pull(moving.url, moving.bytes));
      await delay(AGAIN_MS);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, async (_, index) => await client(index)));
  return seen;
}

fault(
  "limits: a storm of 429 with Retry-After",
  "held content served, stale where it is to be asked for; misses 429 with Retry-After; upstream not asked before it is over, then one probe at a time",
  async (t) => {
    const bench = await startBench(t);
    const { upstream, url } = bench;
    const seen = limit(upstream, { status: 429, headers: { "Retry-After": String(RETRY_AFTER_S) } });
    assert.match((await pull(`${url}/manifests/first`, Buffer.alloc(0))).how, /^429 /);
    const stormy = storm(bench, () => seen.arrivedMs.length > PAUSES);
    t.show(judgeHits(await hitsDuring(bench.held, stormy)));
    const { cold, stale } = await stormy;

    for (const { how, retryAfterS } of cold) {
      assert.equal(how, "429 TOOMANYREQUESTS");
      assert.ok(retryAfterS !== undefined && retryAfterS > 0 && retryAfterS <= RETRY_AFTER_S, String(retryAfterS));
    }
    assert.ok(stale.length > 0 && stale.every(({ how }) => how === "right"));
    assert.equal(seen.most, 1, "one request at a time");
    const gaps = seen.arrivedMs.slice(1).map((at, index) => at - (seen.arrivedMs[index] as number));
    assert.ok(Math.min(...gaps) >= RETRY_AFTER_S * 1000 + ANSWER_MS - CLOCK_MS, `asked after ${gaps.join(", ")} ms`);
    t.show(
      `${cold.length} misses refused and ${stale.length} tags served stale with ${seen.arrivedMs.length} requests`,
    );
    t.show(`the shortest time between two: ${ms(Math.min(...gaps))} for a Retry-After of ${RETRY_AFTER_S} s`);

    seen.lift();
    const image = upstream.addImage(REPOSITORY, "after");
    const afterMs = await untilRight(`${url}/manifests/after`, image.bytes, 30_000);
    t.show(`right ${ms(afterMs)} after the limit was lifted`);
  },
);

fault(
  "limits: the quota of pulls is used up (Docker Hub: HEAD answers, GET is 429)",
  "held content served, a moved tag stale; misses 429 with Retry-After; asked again only after each 10 s",
  async (t) => {
    const bench = await startBench(t);
    const { upstream, moving } = bench;
    const limited = { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0;w=21600" };
    const moved = upstream.addImage(REPOSITORY, "moving", { seed: "moved" });
    const script = upstream.script(
      { method: "GET", path: "/manifests/" },
      { kind: "status", status: 429, headers: limited, times: Infinity },
    );
    const gets = () => upstream.count({ method: "GET", path: "/manifests/" });
    const before = gets();
    assert.equal((await pull(moving.url, moving.bytes)).how, "right", "the moved tag is served as it is held");
    const startedMs = performance.now();
    const stormy = storm(bench, () => performance.now() - startedMs > inForm({ short: 1, long: 25 }) * 1000);
    t.show(judgeHits(await hitsDuring(bench.held, stormy)));
    const { cold, stale } = await stormy;
    for (const { how, retryAfterS } of cold) {
      assert.equal(how, "429 TOOMANYREQUESTS");
      assert.ok(retryAfterS !== undefined && retryAfterS > 0 && retryAfterS <= PAUSE_S, String(retryAfterS));
    }
    assert.ok(stale.length > 0 && stale.every(({ how }) => how === "right"));
    t.show(`${cold.length} misses refused and ${stale.length} tags served stale with ${gets() - before} GETs`);
    if (!isLong) return assert.equal(gets() - before, 1);

    // Each pause ends with one question; a HEAD that is answered lets at most `questions_max` GETs into the next one.
    assert.ok(gets() - before <= 3 * 16);
    script.remove();
    const image = upstream.addImage(REPOSITORY, "after");
    const afterMs = await untilRight(`${bench.url}/manifests/after`, image.bytes, 30_000);
    assert.equal((await pull(moving.url, moved.bytes)).how, "right", "the tag has moved here, too");
    t.show(`right ${ms(afterMs)} after the quota was back`);
  },
);

if (isLong) {
  fault(
    "limits: 503 on everything, for 20 s",
    "held content served; misses 503 with Retry-After; one probe at a time, each after twice the time",
    async (t) => {
      const bench = await startBench(t);
      const { upstream, url } = bench;
      // One after the other, until it opens: those that are under way when it does say nothing about it.
      const first = upstream.script({}, { kind: "status", status: 503, times: Infinity });
      while (
        !(await pull(`${url}/manifests/first-${upstream.requests.length}`, Buffer.alloc(0))).how.startsWith("503")
      );
      first.remove();
      const seen = limit(upstream, { status: 503, headers: {} });
      const startedMs = performance.now();
      const stormy = storm(bench, () => performance.now() - startedMs > 20_000);
      t.show(judgeHits(await hitsDuring(bench.held, stormy)));
      const { cold, stale } = await stormy;
      assert.ok(cold.every(({ how }) => how === "503 UNAVAILABLE" || how === "502 UNAVAILABLE"));
      assert.ok(stale.every(({ how }) => how === "right"));
      assert.equal(seen.most, 1, "one probe at a time");
      const gaps = seen.arrivedMs.slice(1).map((at, index) => at - (seen.arrivedMs[index] as number));
      t.show(`${cold.length} misses refused with ${seen.arrivedMs.length} probes, ${gaps.map(ms).join(", ")} apart`);
      assert.ok(gaps.length >= 1 && gaps.every((gap, index) => gap >= 4_000 * 2 ** index));
    },
  );
}
