import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { failsAs, patient } from "../../test/support/upstreams.ts";
import { Pace, QUEUE_MAX, Slots } from "./limits.ts";

/** Lets everything run that waits for nothing but its turn. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test("so many at once and no more; the others in their order", async () => {
  const slots = new Slots(2, "questions");
  const order: number[] = [];
  const releases: (() => void)[] = [];
  const taken = [1, 2, 3, 4].map(async (one) => {
    releases.push(await slots.take(patient()));
    order.push(one);
  });
  await settled();
  assert.deepEqual(order, [1, 2]);
  releases[1]?.();
  await settled();
  assert.deepEqual(order, [1, 2, 3]);
  releases[0]?.();
  await Promise.all(taken);
  assert.deepEqual(order, [1, 2, 3, 4]);
});

test("giving a slot back twice gives it back once", async () => {
  const slots = new Slots(1, "questions");
  const release = await slots.take(patient());
  release();
  release();
  assert.equal(slots.taken, 0);
  await slots.take(patient());
  release();
  assert.equal(slots.taken, 1);
});

test("one more than the queue holds is told so at once", async () => {
  const slots = new Slots(1, "questions");
  await slots.take(patient());
  const asker = new AbortController();
  const waiting = Array.from({ length: QUEUE_MAX }, () => slots.take(asker.signal));
  await assert.rejects(slots.take(patient()), failsAs("overloaded"));
  asker.abort();
  for (const one of waiting) await assert.rejects(one, failsAs("aborted"));
});

test("who left the queue does not get the slot", async () => {
  const slots = new Slots(1, "questions");
  const release = await slots.take(patient());
  const leaver = new AbortController();
  const left = slots.take(leaver.signal);
  const stays = slots.take(patient());
  leaver.abort();
  await assert.rejects(left, failsAs("aborted"));
  release();
  await stays;
  assert.equal(slots.taken, 1);
});

test("who comes with an aborted signal gets nothing", async () => {
  await assert.rejects(new Slots(1, "x").take(AbortSignal.abort()), failsAs("aborted"));
  await assert.rejects(new Pace(1, "x", () => 0).turn(AbortSignal.abort()), failsAs("aborted"));
});

test("no order of taking, leaving and giving back exceeds the number, loses a slot or forgets a waiter", async () => {
  const step = fc.constantFrom("take", "release", "leave");
  await prove(
    fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.array(step, { maxLength: 40 }), async (max, steps) => {
      const slots = new Slots(max, "questions");
      const held: (() => void)[] = [];
      const waiting = new Set<AbortController>();
      for (const one of steps) {
        if (one === "release") held.shift()?.();
        if (one === "leave") waiting.values().next().value?.abort();
        if (one === "take") {
          const asker = new AbortController();
          waiting.add(asker);
          const gone = () => waiting.delete(asker);
          slots.take(asker.signal).then((release) => (gone(), held.push(release)), gone);
        }
        await settled();
        assert.ok(slots.taken <= max);
        assert.equal(slots.taken, held.length);
        if (waiting.size > 0) assert.equal(slots.taken, max);
      }
    }),
    50,
  );
});

/** A pace on a clock that the test moves. */
function paceOf(t: TestContext, perSecond: number) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const pace = new Pace(perSecond, "requests", () => Date.now());
  const atMs: number[] = [];
  const start = (count: number, signal = patient()) =>
    Array.from({ length: count }, () => pace.turn(signal).then(() => atMs.push(Date.now())));
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 10) {
      t.mock.timers.tick(10);
      await settled();
    }
  };
  return { start, pass, atMs };
}

test("a pace lets a second's worth through at once, then one after the other", async (t) => {
  const { start, pass, atMs } = paceOf(t, 5);
  const all = start(8);
  await settled();
  assert.deepEqual(atMs, [0, 0, 0, 0, 0]);
  await pass(1000);
  assert.deepEqual(atMs.slice(5), [200, 400, 600]);
  await Promise.all(all);
});

test("a pace below one a second still lets the first through at once", async (t) => {
  const { start, pass, atMs } = paceOf(t, 0.5);
  const all = start(2);
  await settled();
  await pass(2000);
  await Promise.all(all);
  assert.deepEqual(atMs, [0, 2000]);
});

test("a pace saves up no more than a second's worth", async (t) => {
  const { start, pass, atMs } = paceOf(t, 2);
  await pass(60_000);
  const all = start(3);
  await settled();
  assert.equal(atMs.length, 2);
  await pass(500);
  await Promise.all(all);
});

test("who leaves a pace's queue takes nobody's turn", async (t) => {
  const { start, pass, atMs } = paceOf(t, 1);
  await Promise.all(start(1));
  const leaver = new AbortController();
  const left = Promise.allSettled(start(50, leaver.signal));
  const stays = start(1);
  leaver.abort();
  await left;
  await pass(1000);
  await Promise.all(stays);
  assert.deepEqual(atMs, [0, 1000]);
});

test("who comes when a turn is due does not get it before those who wait", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const clock = { nowMs: 0 };
  const pace = new Pace(1, "requests", () => clock.nowMs);
  await pace.turn(patient());
  const order: string[] = [];
  const waits = pace.turn(patient()).then(() => order.push("waited"));
  // The turn is due, but the timer that gives it has not run yet.
  clock.nowMs = 1000;
  const comes = pace.turn(patient()).then(() => order.push("came"));
  await settled();
  assert.deepEqual(order, []);
  t.mock.timers.tick(1000);
  await waits;
  clock.nowMs = 2000;
  t.mock.timers.tick(1000);
  await comes;
  assert.deepEqual(order, ["waited", "came"]);
});

test("a pace's queue is bounded", async (t) => {
  const { start } = paceOf(t, 1);
  await Promise.all(start(1));
  const leaver = new AbortController();
  const waiting = Promise.allSettled(start(QUEUE_MAX, leaver.signal));
  const [more] = start(1);
  await assert.rejects(Promise.resolve(more), failsAs("overloaded"));
  leaver.abort();
  await waiting;
});
