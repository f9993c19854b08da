import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { seededBytes, sha256 } from "../../test/support/bytes.ts";
import { drain, scriptedBlob } from "../../test/support/scripted-blob.ts";
import { UpstreamError } from "../upstream/upstream.ts";
import { DirectReader } from "./direct.ts";
import { HELD_BACK_BYTES } from "./bytes.ts";

const SIZE = 400_000;
const BYTES = seededBytes(SIZE, "direct");
const DIGEST = sha256(BYTES);
const PATIENT = new AbortController().signal;
const hashed = (bytes: Uint8Array) => createHash("sha256").update(bytes);

test("a part is fetched by its own range, resumed when it breaks off, and given out in order", async () => {
  const upstream = scriptedBlob(BYTES, { cutAfter: 60_000 }, {});
  const span = { start: 100_000, end: 300_000 };
  const reader = new DirectReader({ open: upstream.open, span, size: SIZE, signal: PATIENT });
  const got = await drain(reader, SIZE, span);
  assert.ok(got.bytes.equals(BYTES.subarray(span.start, span.end)));
  assert.deepEqual(upstream.asked, [
    { start: 100_000, end: 299_999 },
    { start: 160_000, end: 299_999 },
  ]);
});

test("a rest is verified with the hash of what came before, which stays usable for other readers", async () => {
  const verify = { digest: DIGEST, hash: hashed(BYTES.subarray(0, 150_000)) };
  const span = { start: 150_000, end: SIZE };
  for (let time = 0; time < 2; time++) {
    const reader = new DirectReader({ open: scriptedBlob(BYTES).open, span, size: SIZE, signal: PATIENT, verify });
    assert.ok((await drain(reader, SIZE, span)).bytes.equals(BYTES.subarray(150_000)));
  }
});

test("a wrong rest never completes: its last 64 KiB, or all of a smaller one, are withheld", async () => {
  const wrong = Buffer.from(BYTES);
  wrong[SIZE - 1] = (wrong[SIZE - 1] ?? 0) ^ 1;
  for (const start of [0, 150_000, SIZE - HELD_BACK_BYTES, SIZE - 1]) {
    const verify = { digest: DIGEST, hash: hashed(BYTES.subarray(0, start)) };
    const span = { start, end: SIZE };
    const reader = new DirectReader({ open: scriptedBlob(wrong).open, span, size: SIZE, signal: PATIENT, verify });
    const { bytes, error } = await drain(reader, SIZE, span);
    assert.ok(error instanceof UpstreamError);
    assert.ok(bytes.length <= Math.max(0, SIZE - start - HELD_BACK_BYTES));
  }
});

test("closing ends its transfer, also one that stalls, and one that was never read", async () => {
  const asked = Promise.withResolvers<AbortSignal>();
  const reader = new DirectReader({
    open: async (_, signal) => {
      asked.resolve(signal);
      return await new Promise((__, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
    },
    span: { start: 0, end: SIZE },
    size: SIZE,
    signal: PATIENT,
  });
  const reading = reader.next();
  const signal = await asked.promise;
  await Promise.all([reader.close(), assert.rejects(reading, UpstreamError)]);
  assert.equal(signal.aborted, true);
  const unread = scriptedBlob(BYTES);
  await new DirectReader({ open: unread.open, span: { start: 0, end: 1 }, size: SIZE, signal: PATIENT }).close();
  assert.equal(unread.asked.length, 0);
});
