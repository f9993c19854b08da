import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test, type TestContext } from "node:test";
import { UpstreamError } from "../upstream/upstream.ts";
import { Sources } from "./sources.ts";

const PATIENT = new AbortController().signal;

/** Opens one body after the other; an error stands for a refusal. */
function source(...script: (PassThrough | Error)[]) {
  const asked: unknown[] = [];
  const open = async (range: { start: number } | undefined) => {
    asked.push(range);
    const next = script.shift() ?? new UpstreamError("unreachable", "no more");
    if (next instanceof Error) throw next;
    return { start: range?.start ?? 0, size: 100, body: next };
  };
  return { asked, open };
}

/** The fill: how far it has come. */
function filled(t: TestContext, first: ReturnType<typeof source>, ...others: ReturnType<typeof source>[]) {
  const fill = { bytes: 0 };
  const sources = new Sources(first, first.open, () => fill.bytes);
  t.after(() => sources.close());
  for (const other of others) sources.add(other, other.open);
  const open = async () => await sources.open({ start: fill.bytes }, PATIENT);
  return { fill, sources, open };
}

const body = () => new PassThrough().on("error", () => undefined);

test("a source that breaks off is asked again while it brings bytes", async (t) => {
  const [own, other] = [source(body(), body()), source(body())];
  const { fill, open } = filled(t, own, other);
  await open();
  fill.bytes = 10;
  await open();
  assert.deepEqual([own.asked, other.asked], [[{ start: 0 }, { start: 10 }], []]);
});

test("after one that brought nothing, or refuses, the next one goes on where it stood", async (t) => {
  const own = source(body(), body(), new UpstreamError("not-found", "deleted meanwhile"));
  const other = source(body(), body());
  const { fill, open } = filled(t, own, other);
  await open();
  await open();
  assert.deepEqual([own.asked.length, other.asked], [1, [{ start: 0 }]]);
  await open();
  fill.bytes = 20;
  await open();
  assert.deepEqual(other.asked.at(-1), { start: 20 });
  assert.equal(own.asked.length, 3);
});

test("before the first source has answered no other one is asked: its answer is the proof", async (t) => {
  const own = source(new UpstreamError("forbidden", "private"));
  const other = source(body());
  const { open } = filled(t, own, other);
  await assert.rejects(open(), { kind: "forbidden" });
  assert.equal(other.asked.length, 0);
});

test("when all refuse, the last refusal is the fill's, and each was asked once", async (t) => {
  const own = source(body());
  const other = source(new UpstreamError("forbidden", "private"));
  const { open } = filled(t, own, other);
  await open();
  await assert.rejects(open(), { kind: "unreachable" });
  assert.deepEqual([own.asked.length, other.asked.length], [2, 1]);
});

test("an upstream is one source, however many of its repositories join", async (t) => {
  const own = source(body());
  const { sources, open } = filled(t, own, own);
  sources.add(own, own.open);
  await open();
  await assert.rejects(open(), { kind: "unreachable" });
  assert.equal(own.asked.length, 2);
});

test("a slow source is given up for another one, once", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const bodies = Array.from({ length: 4 }, body);
  const [own, other] = [source(...bodies.slice(0, 2)), source(...bodies.slice(2))];
  const { fill, open } = filled(t, own, other);
  await open();
  fill.bytes = 256 * 1024;
  t.mock.timers.tick(15_000);
  assert.equal(bodies[0]?.destroyed, false, "fast enough");
  fill.bytes += 100;
  t.mock.timers.tick(15_000);
  assert.ok(bodies[0]?.errored instanceof UpstreamError);
  await open();
  assert.deepEqual([own.asked.length, other.asked.length], [1, 1]);
  // The other one is no better; there is none left to go to.
  t.mock.timers.tick(60_000);
  assert.equal(bodies[2]?.destroyed, false);
});

test("a slow source is kept while there is no other", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const only = body();
  const { open, sources } = filled(t, source(only));
  await open();
  t.mock.timers.tick(60_000);
  assert.equal(only.destroyed, false);
  const late = source(body());
  sources.add(late, late.open);
  t.mock.timers.tick(15_000);
  assert.equal(only.destroyed, true);
});

test("a source that our own cap holds back is not called slow", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const capped = body();
  const cap = { isOn: true };
  const opened = async () => ({ start: 0, size: 100, body: capped, wasHeldBack: () => cap.isOn });
  const sources = new Sources("own", opened, () => 0);
  t.after(() => sources.close());
  const other = source(body());
  sources.add(other, other.open);
  await sources.open(undefined, PATIENT);
  t.mock.timers.tick(60_000);
  assert.equal(capped.destroyed, false);
  cap.isOn = false;
  t.mock.timers.tick(15_000);
  assert.equal(capped.destroyed, true);
});
