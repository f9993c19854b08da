import assert from "node:assert/strict";
import { test } from "node:test";
import { Pace } from "./pace.ts";

function clocked(bytesPerSecond: number) {
  const clock = { nowMs: 5_000, now: () => clock.nowMs, wait: async (ms: number) => void (clock.nowMs += ms) };
  return { clock, pace: new Pace(bytesPerSecond, clock) };
}

const signal = new AbortController().signal;

test("so many bytes a second, whatever the pieces", async () => {
  const { clock, pace } = clocked(1_000);
  // A second that was not used may be made up for.
  await pace.after(1_000, signal);
  assert.equal(clock.nowMs, 5_000);
  for (let piece = 0; piece < 40; piece += 1) await pace.after(250, signal);
  assert.equal(clock.nowMs, 15_000);
});

test("a long stand-still brings no burst of more than a second", async () => {
  const { clock, pace } = clocked(1_000);
  clock.nowMs += 3_600_000;
  await pace.after(3_000, signal);
  assert.equal(clock.nowMs, 5_000 + 3_600_000 + 2_000);
});

test("it ends with its signal, also where nothing is to be waited for", async () => {
  const { pace } = clocked(1_000_000);
  await assert.rejects(pace.after(1, AbortSignal.abort(new Error("enough"))), /enough/);
});
