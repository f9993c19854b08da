import assert from "node:assert/strict";
import { test } from "node:test";
import { SingleFlight } from "./single-flight.ts";
import { Changes, LATE, orAborted, within } from "./wait.ts";

const PATIENT = new AbortController().signal;
const NEVER = new Promise<never>(() => {});

test("within: the result, the failure, or LATE when the time is up; the work goes on", async () => {
  assert.equal(await within(Promise.resolve(1), 1000), 1);
  await assert.rejects(within(Promise.reject(new Error("no")), 1000), /no/);
  assert.equal(await within(NEVER, 0), LATE);
  assert.equal(await within(NEVER, -5), LATE);
});

test("orAborted: the result, or the signal's reason, also where it was aborted before", async () => {
  assert.equal(await orAborted(Promise.resolve(1), PATIENT), 1);
  const controller = new AbortController();
  const waiting = orAborted(NEVER, controller.signal);
  controller.abort(new Error("gone"));
  await assert.rejects(waiting, /gone/);
  await assert.rejects(orAborted(NEVER, AbortSignal.abort(new Error("before"))), /before/);
});

test("orAborted: a failure that comes after the abort is nobody's, and ends no process", async () => {
  const { promise, reject } = Promise.withResolvers<never>();
  await assert.rejects(orAborted(promise, AbortSignal.abort(new Error("gone"))), /gone/);
  reject(new Error("late"));
  await new Promise(setImmediate);
});

test("changes: one notice wakes all who wait, and only them; an abort wakes one", async () => {
  const changes = new Changes();
  const client = new AbortController();
  const first = changes.next(PATIENT);
  const second = changes.next(PATIENT);
  const left = changes.next(client.signal);
  client.abort(new Error("gone"));
  await assert.rejects(left, /gone/);
  changes.notify();
  await Promise.all([first, second]);
  let woken = false;
  void changes.next(PATIENT).then(() => (woken = true));
  await new Promise(setImmediate);
  assert.equal(woken, false);
  changes.notify();
  await new Promise(setImmediate);
  assert.equal(woken, true);
  await assert.rejects(changes.next(AbortSignal.abort(new Error("before"))), /before/);
});

test("single flight: one piece of work a key, its result or failure for all, and a new one afterwards", async () => {
  const flights = new SingleFlight<number>();
  let runs = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const work = async () => {
    await promise;
    return ++runs;
  };
  const [one, two, other] = [flights.run("a", 5, work), flights.run("a", 9, work), flights.run("b", 9, work)];
  assert.deepEqual([one.joined, two.joined, other.joined], [false, true, false]);
  assert.equal(two.startedAtMs, 5);
  resolve();
  assert.equal(await one.result, await two.result);
  await flights.idle();
  assert.equal(runs, 2);
  const failing = flights.run("a", 1, async () => await Promise.reject(new Error("no")));
  assert.equal(failing.joined, false);
  await flights.idle();
  await assert.rejects(failing.result, /no/);
});
