import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { seededBytes, sha256 } from "../../test/support/bytes.ts";
import { drain, fillOf, gate, nextOf, readerOf, scriptedBlob } from "../../test/support/scripted-blob.ts";
import { tempDir } from "../../test/support/temp.ts";
import { openFilesystemStore } from "../store/filesystem.ts";
import type { Store } from "../store/store.ts";
import { UpstreamError } from "../upstream/upstream.ts";
import { FillReader, NEAR_BYTES, PART_IDLE_MS } from "./fill-reader.ts";

const MIB = 1024 * 1024;
const PATIENT = new AbortController().signal;

async function opened(t: TestContext): Promise<Store> {
  return await openFilesystemStore({ dataDir: await tempDir(t), minFreeDiskBytes: 0 });
}

/** A blob whose first transfer stops at `atByte` until the gate opens; ranges are served at once. */
function heldAt(bytes: Buffer, atByte: number) {
  const rest = gate();
  const first = { pieceBytes: MIB, before: async (at: number) => (at >= atByte ? await rest.promise : undefined) };
  return { rest, upstream: scriptedBlob(bytes, first, { pieceBytes: MIB }) };
}

test("a reader near the fill waits for it; no second transfer is made", async (t) => {
  const bytes = seededBytes(4 * MIB, "near");
  const { rest, upstream } = heldAt(bytes, MIB);
  const fill = fillOf(await opened(t), sha256(bytes), upstream.open);
  const reading = drain(readerOf(fill, bytes.length, upstream.open, { start: 3 * MIB }), bytes.length, {
    start: 3 * MIB,
  });
  while (fill.writtenBytes < MIB) await fill.changed(PATIENT);
  rest.open();
  assert.ok((await reading).bytes.equals(bytes.subarray(3 * MIB)));
  assert.equal(upstream.asked.length, 1);
  await fill.ended;
});

test("a reader far ahead gets its part by a range of its own, and returns to the spool once the fill has caught up", async (t) => {
  const bytes = seededBytes(NEAR_BYTES + 8 * MIB, "far");
  const start = NEAR_BYTES + 4 * MIB;
  const { rest, upstream } = heldAt(bytes, MIB);
  const fill = fillOf(await opened(t), sha256(bytes), upstream.open);
  fill.join();
  while (fill.writtenBytes < MIB) await fill.changed(PATIENT);
  const reader = readerOf(fill, bytes.length, upstream.open, { start });
  const first = (await nextOf(reader, start)) ?? Buffer.alloc(0);
  const count = first.length;
  assert.ok(count > 0);
  assert.ok(first.equals(bytes.subarray(start, start + count)));
  assert.deepEqual(upstream.asked[1], { start, end: bytes.length - 1 });
  rest.open();
  await fill.ended;
  const left = await drain(reader, bytes.length, { start: start + count });
  assert.ok(left.bytes.equals(bytes.subarray(start + count)));
  await fill.leave();
});

test("a reader gives no byte beyond its span, and none at the span's end and after it was closed", async (t) => {
  const bytes = seededBytes(300_000, "span");
  const upstream = scriptedBlob(bytes);
  const fill = fillOf(await opened(t), sha256(bytes), upstream.open);
  fill.join();
  await fill.ended;
  const reader = readerOf(fill, bytes.length, upstream.open, { start: 10, end: 20 });
  assert.ok((await nextOf(reader, 10))?.equals(bytes.subarray(10, 20)));
  assert.equal(await reader.next(20), undefined);
  await reader.close();
  await reader.close();
  assert.equal(await reader.next(10), undefined);
  assert.equal(fill.idleSinceMs, undefined, "closing twice counts once");
  await fill.leave();
  assert.notEqual(fill.idleSinceMs, undefined);
});

test("what had come before a failure is still read, then the failure is told", async (t) => {
  const bytes = seededBytes(300_000, "failing");
  const refuses = new UpstreamError("forbidden", "no more");
  const upstream = scriptedBlob(bytes, { cutAfter: 200_000 }, { refuses });
  const fill = fillOf(await opened(t), sha256(bytes), upstream.open);
  const got = await drain(readerOf(fill, bytes.length, upstream.open), bytes.length);
  assert.equal(got.error, refuses);
  assert.ok(bytes.subarray(0, got.bytes.length).equals(got.bytes));
  await fill.ended;
});

test("a reader far ahead without a place for a part of its own waits for the fill", async (t) => {
  const bytes = seededBytes(NEAR_BYTES + 8 * MIB, "waits");
  const start = NEAR_BYTES + 4 * MIB;
  const { rest, upstream } = heldAt(bytes, MIB);
  const fill = fillOf(await opened(t), sha256(bytes), upstream.open);
  fill.join();
  while (fill.writtenBytes < MIB) await fill.changed(PATIENT);
  let refused = 0;
  const openPart = async () => {
    refused += 1;
    throw new UpstreamError("overloaded", "no place");
  };
  const span = { start, end: bytes.length };
  const options = { fill, span, size: bytes.length, openUpstream: upstream.open, openPart, signal: PATIENT };
  const reading = drain(new FillReader(options), bytes.length, { start });
  await new Promise(setImmediate);
  rest.open();
  assert.ok((await reading).bytes.equals(bytes.subarray(start)));
  assert.deepEqual([refused, upstream.asked.length], [1, 1]);
  await fill.leave();
});

test("a part whose reader takes nothing is given up, and begun anew when he goes on", async (t) => {
  const bytes = seededBytes(NEAR_BYTES + 8 * MIB, "parked");
  const start = NEAR_BYTES + 4 * MIB;
  const { rest, upstream } = heldAt(bytes, MIB);
  const fill = fillOf(await opened(t), sha256(bytes), upstream.open);
  fill.join();
  while (fill.writtenBytes < MIB) await fill.changed(PATIENT);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const reader = readerOf(fill, bytes.length, upstream.open, { start });
  const count = (await nextOf(reader, start))?.length ?? 0;
  t.mock.timers.tick(PART_IDLE_MS);
  const next = (await nextOf(reader, start + count)) ?? Buffer.alloc(0);
  assert.ok(next.length > 0 && next.equals(bytes.subarray(start + count, start + count + next.length)));
  assert.deepEqual(upstream.asked[2], { start: start + count, end: bytes.length - 1 });
  await reader.close();
  rest.open();
  await fill.ended;
  await fill.leave();
});
