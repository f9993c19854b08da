import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { seededBytes } from "../../test/support/bytes.ts";
import { type Behaviour, scriptedBlob } from "../../test/support/scripted-blob.ts";
import { UpstreamError } from "../upstream/upstream.ts";
import { transfer, SIZELESS_BYTES_MAX } from "./transfer.ts";

const BYTES = seededBytes(300_000, "transfer");
const PATIENT = new AbortController().signal;

interface Wanted {
  readonly from?: number;
  readonly end?: number;
  readonly size?: number;
  readonly signal?: AbortSignal;
}

async function run(script: readonly Behaviour[], wanted: Wanted = {}) {
  const upstream = scriptedBlob(BYTES, ...script);
  const sizes: number[] = [];
  const got: Uint8Array[] = [];
  const { from = 0, end, size, signal = PATIENT } = wanted;
  const onSize = (bytes: number) => void sizes.push(bytes);
  try {
    for await (const piece of transfer({ open: upstream.open, from, end, size, signal, onSize })) got.push(piece);
    return { bytes: Buffer.concat(got), asked: upstream.asked, sizes, kind: undefined };
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    return { bytes: Buffer.concat(got), asked: upstream.asked, sizes, kind: error.kind };
  }
}

test("the whole is asked for without Range, a rest or a part with one, and the size told once", async () => {
  const whole = await run([{}]);
  assert.ok(whole.bytes.equals(BYTES));
  assert.deepEqual([whole.asked, whole.sizes], [[undefined], [BYTES.length]]);
  const rest = await run([{}], { from: 1000 });
  assert.ok(rest.bytes.equals(BYTES.subarray(1000)));
  assert.deepEqual(rest.asked, [{ start: 1000 }]);
  const part = await run([{}], { from: 1000, end: 2000, size: BYTES.length });
  assert.ok(part.bytes.equals(BYTES.subarray(1000, 2000)));
  assert.deepEqual([part.asked, part.sizes], [[{ start: 1000, end: 1999 }], []]);
});

test("a broken transfer is resumed by Range where it stood, also by a 200 that is skipped forward", async () => {
  const resumed = await run([{ cutAfter: 100_000 }, { cutAfter: 50_000 }, {}]);
  assert.ok(resumed.bytes.equals(BYTES));
  assert.deepEqual(resumed.asked, [undefined, { start: 100_000 }, { start: 150_000 }]);
  assert.deepEqual(resumed.sizes, [BYTES.length]);
  assert.ok((await run([{ cutAfter: 100_000 }, { ignoresRange: true }])).bytes.equals(BYTES));
  const part = await run([{ ignoresRange: true }], { from: 100_000, end: 100_010, size: BYTES.length });
  assert.ok(part.bytes.equals(BYTES.subarray(100_000, 100_010)));
});

test("an answer that does not continue exactly, or of another total, ends the transfer", async () => {
  for (const bad of [{ startsAt: 5 }, { startsAt: 100_001 }, { saysSize: BYTES.length + 1 }]) {
    const { kind, bytes } = await run([{ cutAfter: 100_000 }, bad]);
    assert.equal(kind, "protocol");
    assert.ok(bytes.equals(BYTES.subarray(0, 100_000)));
  }
  assert.equal((await run([{}], { size: 5 })).kind, "protocol");
});

test("more bytes than announced are not given out", async () => {
  const { kind, bytes } = await run([{ hidesSize: true, pieceBytes: 1000 }], { size: 100_500 });
  assert.equal(kind, "protocol");
  assert.equal(bytes.length, 100_000);
});

test("an end that comes too early is a break like any other", async () => {
  const early = seededBytes(10, "early");
  const upstream = scriptedBlob(early, { hidesSize: true });
  const pieces = transfer({ open: upstream.open, from: 0, end: undefined, size: 20, signal: PATIENT });
  const drained = (async () => {
    for await (const piece of pieces) assert.ok(piece.length > 0);
  })();
  await assert.rejects(drained, UpstreamError);
  assert.ok(upstream.asked.length > 1);
});

test("416 after the last byte of a content of unknown size is its end; of a known size it is a failure", async () => {
  const refuses = new UpstreamError("protocol", "416", { status: 416 });
  assert.deepEqual((await run([{ refuses }], { from: BYTES.length })).kind, undefined);
  assert.equal((await run([{ refuses }], { from: 100, size: BYTES.length })).kind, "protocol");
  assert.equal((await run([{ refuses }])).kind, "protocol");
});

test("an abort ends it, also in the pause before the next attempt", async () => {
  const stop = new AbortController();
  const cut: Behaviour = { cutAfter: 0, before: () => stop.abort(new UpstreamError("aborted", "enough")) };
  assert.equal((await run([cut], { signal: stop.signal })).kind, "aborted");
  assert.equal(
    (await run([{}], { signal: AbortSignal.abort(new UpstreamError("aborted", "before")) })).kind,
    "aborted",
  );
});

test("a consumer that leaves closes the upstream's body", async () => {
  const bodies: Readable[] = [];
  const upstream = scriptedBlob(BYTES);
  const open: typeof upstream.open = async (range, signal) => {
    const opened = await upstream.open(range, signal);
    bodies.push(opened.body);
    return opened;
  };
  for await (const piece of transfer({ open, from: 0, end: undefined, size: undefined, signal: PATIENT })) {
    assert.ok(piece.length > 0);
    break;
  }
  assert.deepEqual(
    bodies.map((body) => body.destroyed),
    [true],
  );
});

test("cut twice anywhere, whether ranges are honoured or not and sizes said or not: whole and right", async () => {
  const behaviour = fc.record({
    cutAfter: fc.integer({ min: 30_000, max: 350_000 }),
    ignoresRange: fc.boolean(),
    hidesSize: fc.boolean(),
    pieceBytes: fc.integer({ min: 700, max: 90_000 }),
  });
  await prove(
    fc.asyncProperty(fc.array(behaviour, { maxLength: 2 }), fc.nat(250_000), async (script, from) => {
      const { bytes, kind } = await run([...script, {}], { from, size: BYTES.length });
      assert.equal(kind, undefined);
      assert.ok(bytes.equals(BYTES.subarray(from)));
    }),
    15,
  );
});

test("a content without a size that never ends is given up", async () => {
  const piece = Buffer.alloc(64 * 1024 * 1024);
  const open = async () => ({
    start: 0,
    size: undefined,
    body: Readable.from(
      (function* () {
        for (;;) yield piece;
      })(),
      { objectMode: true },
    ),
  });
  const pieces = transfer({ open, from: 0, end: undefined, size: undefined, signal: new AbortController().signal });
  let bytes = 0;
  const reading = async () => {
    for await (const one of pieces) bytes += one.length;
  };
  await assert.rejects(reading, { kind: "protocol", message: `sent more than ${SIZELESS_BYTES_MAX} bytes` });
  assert.equal(bytes, SIZELESS_BYTES_MAX);
});
