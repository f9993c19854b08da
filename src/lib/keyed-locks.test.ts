import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyedLocks } from "./keyed-locks.ts";

/** Whether it is settled after everything that is ready has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.finally(() => (settled = true));
  await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

test("sharers come at any time but while one has it alone, and keep it from being had alone", async () => {
  const locks = new KeyedLocks();
  const first = await locks.shared("a");
  const alone = locks.alone("a");
  assert.equal(await isSettled(alone), false);
  assert.equal(locks.tryAlone("a"), undefined);
  // One who waits to have it alone keeps nobody out.
  const second = await locks.shared("a");
  first();
  first();
  assert.equal(await isSettled(alone), false);
  second();
  const release = await alone;
  const third = locks.shared("a");
  assert.equal(await isSettled(third), false);
  release();
  (await third)();
});

test("keys have nothing to do with each other", async () => {
  const locks = new KeyedLocks();
  await locks.shared("a");
  const b = locks.tryAlone("b");
  assert.notEqual(b, undefined);
  b?.();
  (await locks.shared("b"))();
});

test("waiting ends with the signal", async () => {
  const locks = new KeyedLocks();
  const release = locks.tryAlone("a");
  const stopping = new AbortController();
  const waits = [locks.shared("a", stopping.signal), locks.alone("a", stopping.signal)];
  stopping.abort(new Error("enough"));
  for (const wait of waits) await assert.rejects(wait, /enough/);
  release?.();
  assert.notEqual(locks.tryAlone("a"), undefined);
});
