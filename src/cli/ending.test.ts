import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { unlessAsked, watchForEnding } from "./ending.ts";

const nothing = Symbol("nothing");

/** What the promise has come to by now. */
async function settled<T>(promise: Promise<T>): Promise<T | typeof nothing> {
  return await Promise.race([promise, Promise.resolve(nothing)]);
}

test("the first signal asks, the second one ends at once", async () => {
  const source = new EventEmitter();
  const ending = watchForEnding(source, () => undefined);
  assert.equal(await settled(ending.asked), nothing);
  source.emit("SIGTERM", "SIGTERM");
  assert.equal(await settled(ending.asked), "SIGTERM");
  assert.equal(await settled(ending.atOnce), nothing);
  source.emit("SIGINT", "SIGINT");
  assert.equal(await settled(ending.atOnce), 1);
});

test("a start is waited for until an end is asked for", async () => {
  const source = new EventEmitter();
  const ending = watchForEnding(source, () => undefined);
  assert.deepEqual(await unlessAsked(Promise.resolve("app"), ending), { started: "app" });
  await assert.rejects(unlessAsked(Promise.reject(new Error("no such folder")), ending), /no such folder/);
  const stuck = unlessAsked(Promise.withResolvers<string>().promise, ending);
  source.emit("SIGTERM", "SIGTERM");
  assert.deepEqual(await stuck, { signal: "SIGTERM" });
});

test("an error that nothing caught is reported and ends at once", async () => {
  const source = new EventEmitter();
  const reported: unknown[] = [];
  const ending = watchForEnding(source, (error) => reported.push(error));
  const error = new Error("x");
  source.emit("uncaughtException", error);
  assert.deepEqual(reported, [error]);
  assert.equal(await settled(ending.atOnce), 1);
  assert.equal(await settled(ending.asked), nothing);
});

test("it ends even where the report of an error fails", async () => {
  const source = new EventEmitter();
  const ending = watchForEnding(source, () => {
    throw new Error("disk full");
  });
  assert.throws(() => source.emit("uncaughtException", new Error("x")), /disk full/);
  assert.equal(await settled(ending.atOnce), 1);
});
