import assert from "node:assert/strict";
import { describe, it, mock, type TestContext } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { reapPartialsStep } from "./reap-partials.ts";
import { startUpkeep } from "./steps.ts";

/** Node's clock, moved by hand; what becomes due runs before `advance` returns. */
function handClock(t: TestContext): { advance(ms: number): Promise<void> } {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  return {
    advance: async (ms) => {
      mock.timers.tick(ms);
      for (let turns = 0; turns < 5; turns += 1) await turn();
    },
  };
}

function recordingLog() {
  const errors: object[] = [];
  return { errors, log: { error: (fields: object) => void errors.push(fields), debug: () => undefined } };
}

describe("upkeep", () => {
  it("runs each step when it is due, again and again", async (t) => {
    const clock = handClock(t);
    const ran: string[] = [];
    const step = (name: string, everyMs: number) => ({ name, everyMs, run: async () => void ran.push(name) });
    const upkeep = startUpkeep([step("often", 100), step("rarely", 250)], recordingLog().log);
    await clock.advance(99);
    assert.deepEqual(ran, []);
    await clock.advance(1);
    await clock.advance(100);
    await clock.advance(50);
    assert.deepEqual(ran, ["often", "often", "rarely"]);
    await upkeep.stop();
  });

  it("asks anew for an interval that is not always the same", async (t) => {
    const clock = handClock(t);
    const intervals = [50, 200];
    let runs = 0;
    const step = { name: "some", everyMs: () => intervals.shift() ?? 1_000, run: async () => void (runs += 1) };
    const upkeep = startUpkeep([step], recordingLog().log);
    await clock.advance(50);
    assert.equal(runs, 1);
    await clock.advance(199);
    assert.equal(runs, 1);
    await clock.advance(1);
    assert.equal(runs, 2);
    await upkeep.stop();
  });

  it("never runs one step twice at once, and goes on with the others meanwhile", async (t) => {
    const clock = handClock(t);
    const slow = Promise.withResolvers<void>();
    const started: string[] = [];
    const upkeep = startUpkeep(
      [
        { name: "slow", everyMs: 100, run: async () => (started.push("slow"), await slow.promise) },
        { name: "quick", everyMs: 100, run: async () => void started.push("quick") },
      ],
      recordingLog().log,
    );
    for (const _ of [1, 2, 3]) await clock.advance(100);
    assert.deepEqual(started, ["slow", "quick", "quick", "quick"]);
    slow.resolve();
    await clock.advance(0);
    await clock.advance(100);
    assert.deepEqual(started.slice(4).toSorted(), ["quick", "slow"]);
    await upkeep.stop();
  });

  it("logs a failure and tries again when the step is next due", async (t) => {
    const clock = handClock(t);
    const { errors, log } = recordingLog();
    const failure = new Error("the disk is away");
    let runs = 0;
    const run = async () => {
      runs += 1;
      throw failure;
    };
    const upkeep = startUpkeep([{ name: "reap", everyMs: 100, run }], log);
    await clock.advance(100);
    await clock.advance(100);
    assert.equal(runs, 2);
    assert.deepEqual(errors, [
      { step: "reap", err: failure },
      { step: "reap", err: failure },
    ]);
    await upkeep.stop();
  });

  it("stops by telling a running step so and waiting for it; nothing runs afterwards", async (t) => {
    const clock = handClock(t);
    const { errors, log } = recordingLog();
    const ending = Promise.withResolvers<void>();
    let runs = 0;
    const run = async (signal: AbortSignal) => {
      runs += 1;
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      await ending.promise;
      signal.throwIfAborted();
    };
    const upkeep = startUpkeep([{ name: "long", everyMs: 100, run }], log);
    await clock.advance(100);
    let stopped = false;
    const stopping = upkeep.stop().then(() => (stopped = true));
    await clock.advance(0);
    assert.equal(stopped, false);
    ending.resolve();
    await stopping;
    await clock.advance(1_000);
    assert.equal(runs, 1);
    assert.deepEqual(errors, []);
  });

  it("stops at once while nothing runs, before the first step is due too", async (t) => {
    const clock = handClock(t);
    let runs = 0;
    const upkeep = startUpkeep(
      [{ name: "later", everyMs: 100, run: async () => void (runs += 1) }],
      recordingLog().log,
    );
    await upkeep.stop();
    await clock.advance(1_000);
    assert.equal(runs, 0);
  });
});

describe("the step that reaps partials", () => {
  const reaping = (partials: number) => {
    const ages: number[] = [];
    const reapPartials = async (olderThanMs: number) => {
      ages.push(olderThanMs);
      return { partials, bytes: partials * 10 };
    };
    return { ages, reapPartials };
  };

  it("asks the store for partials of the given age, and says what went", async () => {
    const store = reaping(2);
    const said: object[] = [];
    await reapPartialsStep(store, 86_400_000, { info: (fields: object) => void said.push(fields) }).run(
      new AbortController().signal,
    );
    assert.deepEqual(store.ages, [86_400_000]);
    assert.deepEqual(said, [{ partials: 2, bytes: 20 }]);
  });

  it("says nothing when nothing went", async () => {
    const said: object[] = [];
    const step = reapPartialsStep(reaping(0), 1, { info: (fields: object) => void said.push(fields) });
    await step.run(new AbortController().signal);
    assert.deepEqual(said, []);
  });
});
