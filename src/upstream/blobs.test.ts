import assert from "node:assert/strict";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { seededBytes } from "../../test/support/bytes.ts";
import type { Fault } from "../../test/support/fake-upstream.ts";
import { failsAs, name, patient, sent, startBench } from "../../test/support/upstreams.ts";
import { digestOf } from "../oci/digest.ts";
import { QUEUE_MAX } from "./limits.ts";

const app = name("team/app");
const KIB = 1024;
const absent = digestOf(Buffer.from("nowhere"));

/** Reads a body to its bitter end. */
async function readToError(body: Readable): Promise<{ bytes: number; error: unknown }> {
  let bytes = 0;
  try {
    for await (const piece of body as AsyncIterable<Buffer>) bytes += piece.length;
    return { bytes, error: undefined };
  } catch (error) {
    return { bytes, error };
  }
}

test("a whole blob begins at 0 and says its size", async (t) => {
  const { fake, upstream } = await startBench(t);
  const bytes = seededBytes(300 * KIB);
  const digest = fake.addBlob(app, bytes);
  const { start, size, body } = await upstream.openBlob(app, digest, undefined, patient());
  assert.deepEqual({ start, size }, { start: 0, size: bytes.length });
  assert.deepEqual(await buffer(body), bytes);
});

for (const [what, range, expected] of [
  ["from an offset", { start: 1000 }, [1000, 5000]],
  ["from an offset to an end", { start: 1000, end: 1999 }, [1000, 2000]],
  ["of its first byte", { start: 0, end: 0 }, [0, 1]],
] as const) {
  for (const redirectBlobs of [false, true]) {
    test(`a part ${what}, ${redirectBlobs ? "redirected" : "from the registry"}`, async (t) => {
      const { fake, upstream } = await startBench(t, { fake: { redirectBlobs } });
      const bytes = seededBytes(5000);
      const digest = fake.addBlob(app, bytes);
      const { start, size, body } = await upstream.openBlob(app, digest, range, patient());
      assert.deepEqual({ start, size }, { start: range.start, size: 5000 });
      assert.deepEqual(await buffer(body), bytes.subarray(...expected));
    });
  }
}

test("a range past the end is a protocol error", async (t) => {
  const { fake, upstream } = await startBench(t);
  const digest = fake.addBlob(app, seededBytes(100));
  await assert.rejects(upstream.openBlob(app, digest, { start: 100 }, patient()), failsAs("protocol", 416));
});

for (const [what, set, remove] of [
  ["no Content-Range", {}, ["content-range"]],
  ["a Content-Range that is none", { "content-range": "bytes 5-1/9" }, []],
  ["a Content-Range of another length than the body", { "content-range": "bytes 10-20/1000" }, []],
] as const) {
  test(`a part with ${what} is a protocol error`, async (t) => {
    const { fake, upstream } = await startBench(t);
    const digest = fake.addBlob(app, seededBytes(1000));
    fake.script({}, { kind: "headers", set, remove });
    await assert.rejects(upstream.openBlob(app, digest, { start: 10 }, patient()), failsAs("protocol", 206));
  });
}

test("a part that nobody asked for is a protocol error", async (t) => {
  const { fake, upstream } = await startBench(t);
  const digest = fake.addBlob(app, seededBytes(1000));
  fake.script({}, { kind: "status", status: 206, headers: { "content-range": "bytes 0-1/1000" }, body: "xx" });
  await assert.rejects(upstream.openBlob(app, digest, undefined, patient()), failsAs("protocol", 206));
});

test("an encoded blob is a protocol error", async (t) => {
  const { fake, upstream } = await startBench(t);
  const digest = fake.addBlob(app, seededBytes(1000));
  fake.script({}, { kind: "gzip" });
  await assert.rejects(upstream.openBlob(app, digest, undefined, patient()), failsAs("protocol", 200));
});

test("a web page in place of a blob is a protocol error", async (t) => {
  const { fake, upstream } = await startBench(t);
  const digest = fake.addBlob(app, seededBytes(1000));
  fake.script({}, { kind: "html" }, { kind: "html" });
  await assert.rejects(upstream.openBlob(app, digest, undefined, patient()), failsAs("protocol", 200));
  await assert.rejects(upstream.probeBlob(app, digest, patient()), failsAs("protocol", 200));
});

for (const [what, fault] of [
  ["cut off", { kind: "cut", atByte: 100 * KIB }],
  ["shorter than its Content-Length", { kind: "length", contentLength: 999_999 }],
] as const satisfies readonly (readonly [string, Fault])[]) {
  test(`a body that is ${what} ends with an error`, async (t) => {
    const { fake, upstream } = await startBench(t);
    const digest = fake.addBlob(app, seededBytes(300 * KIB));
    fake.script({}, fault);
    const { body } = await upstream.openBlob(app, digest, undefined, patient());
    const { error } = await readToError(body);
    assert.ok(failsAs("unreachable")(error));
  });
}

for (const [what, sentBytes, kind] of [
  ["shorter", 50, "unreachable"],
  ["longer", 200, "protocol"],
] as const) {
  test(`a part without Content-Length that is ${what} than its Content-Range ends with an error`, async (t) => {
    const { fake, upstream } = await startBench(t);
    const digest = fake.addBlob(app, seededBytes(1000));
    const handler: Extract<Fault, { kind: "answer" }>["handler"] = (_req, res) => {
      res.writeHead(206, { "content-range": "bytes 100-199/1000" });
      res.write(Buffer.alloc(sentBytes));
      res.end();
    };
    fake.script({}, { kind: "answer", handler });
    const { body } = await upstream.openBlob(app, digest, { start: 100, end: 199 }, patient());
    const { error } = await readToError(body);
    assert.ok(failsAs(kind)(error));
  });
}

test("a body that stays idle too long ends with an error, one that only drips does not", async (t) => {
  const { fake, upstream } = await startBench(t, {
    registry: { timeouts: { connectMs: 5000, headersMs: 5000, idleMs: 300, askBudgetMs: 3000 } },
  });
  const bytes = seededBytes(12 * KIB);
  const digest = fake.addBlob(app, bytes);
  fake.script({}, { kind: "stall", atByte: 4 * KIB }, { kind: "drip", bytesPerSecond: 16 * KIB, pieceBytes: KIB });
  const stalled = await upstream.openBlob(app, digest, undefined, patient());
  const { bytes: received, error } = await readToError(stalled.body);
  assert.equal(received, 4 * KIB);
  assert.ok(failsAs("timeout")(error));
  const dripping = await upstream.openBlob(app, digest, undefined, patient());
  assert.deepEqual(await buffer(dripping.body), bytes);
});

test("a reader that takes its time is not an idle upstream, and makes it wait", async (t) => {
  const { fake, upstream } = await startBench(t, {
    registry: { timeouts: { connectMs: 5000, headersMs: 5000, idleMs: 200, askBudgetMs: 3000 } },
  });
  const size = 32 * KIB * KIB;
  const digest = fake.addBlob(app, seededBytes(size));
  const { body } = await upstream.openBlob(app, digest, undefined, patient());
  await once(body, "readable");
  // Longer than the idle limit; what is not sent by then waits for the reader.
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(body.errored, null);
  assert.ok((fake.requests[0]?.bytesSent ?? size) < size);
  assert.deepEqual(await readToError(body), { bytes: size, error: undefined });
});

test("aborting ends a transfer with an error and closes the upstream's connection", async (t) => {
  const { fake, upstream } = await startBench(t);
  const digest = fake.addBlob(app, seededBytes(64 * KIB));
  fake.script({}, { kind: "stall", atByte: KIB });
  const asker = new AbortController();
  const { body } = await upstream.openBlob(app, digest, undefined, asker.signal);
  await once(body, "readable");
  asker.abort();
  assert.ok(failsAs("aborted")((await readToError(body)).error));
  await fake.until(() => fake.requests[0]?.closed === true);
});

test("destroying a body closes the upstream's connection", async (t) => {
  const { fake, upstream } = await startBench(t);
  const digest = fake.addBlob(app, seededBytes(64 * KIB));
  fake.script({}, { kind: "stall", atByte: KIB });
  const { body } = await upstream.openBlob(app, digest, undefined, patient());
  body.destroy();
  await fake.until(() => fake.requests[0]?.closed === true);
});

test("a body that fails before anybody reads it fails its reader, not the process", async (t) => {
  const { fake, upstream } = await startBench(t);
  const digest = fake.addBlob(app, seededBytes(64 * KIB));
  fake.script({}, { kind: "cut", atByte: KIB });
  const { body } = await upstream.openBlob(app, digest, undefined, patient());
  body.resume();
  await new Promise((resolve) => body.once("close", resolve));
  assert.ok(failsAs("unreachable")((await readToError(body)).error));
});

for (const [how, end] of [
  ["is read to its end", (body: Readable) => void body.resume()],
  ["is destroyed", (body: Readable) => void body.destroy()],
] as const) {
  test(`a transfer's slot is free again when its body ${how}`, async (t) => {
    const { fake, upstream } = await startBench(t, { registry: { transfersMax: 1 } });
    const digest = fake.addBlob(app, seededBytes(64 * KIB));
    const first = await upstream.openBlob(app, digest, undefined, patient());
    const second = upstream.openBlob(app, digest, undefined, patient());
    // A question is no transfer, so it needs no slot of one.
    await upstream.probeBlob(app, digest, patient());
    assert.equal(fake.count({ method: "GET" }), 1);
    end(first.body);
    (await second).body.destroy();
    assert.equal(fake.count({ method: "GET" }), 2);
  });
}

test("a transfer's slot is free again when it could not begin, when it breaks off, and when its asker leaves", async (t) => {
  const { fake, upstream } = await startBench(t, { registry: { transfersMax: 1 } });
  const digest = fake.addBlob(app, seededBytes(64 * KIB));
  await assert.rejects(upstream.openBlob(app, absent, undefined, patient()), failsAs("not-found", 404));
  fake.script({}, { kind: "cut", atByte: KIB }, { kind: "stall", atByte: KIB });
  const cut = await upstream.openBlob(app, digest, undefined, patient());
  assert.ok((await readToError(cut.body)).error !== undefined);
  const asker = new AbortController();
  await upstream.openBlob(app, digest, undefined, asker.signal);
  asker.abort();
  const last = await upstream.openBlob(app, digest, undefined, patient());
  assert.equal((await buffer(last.body)).length, 64 * KIB);
});

test("the queue for transfers is bounded, and one can leave it", async (t) => {
  const { fake, upstream } = await startBench(t, { registry: { transfersMax: 1 } });
  const digest = fake.addBlob(app, seededBytes(KIB));
  const { body } = await upstream.openBlob(app, digest, undefined, patient());
  const asker = new AbortController();
  const waiting = Array.from({ length: QUEUE_MAX }, () => upstream.openBlob(app, digest, undefined, asker.signal));
  await assert.rejects(upstream.openBlob(app, digest, undefined, patient()), failsAs("overloaded"));
  asker.abort();
  for (const outcome of await Promise.allSettled(waiting)) {
    assert.ok(outcome.status === "rejected" && failsAs("aborted")(outcome.reason));
  }
  assert.equal(fake.requests.length, 1);
  body.destroy();
});

test("a probe that gets the whole blob reads none of it", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { blobHead: 405 } });
  const size = 64 * KIB * KIB;
  const digest = fake.addBlob(app, seededBytes(size));
  fake.script({ method: "GET" }, { kind: "noRange" });
  assert.deepEqual(await upstream.probeBlob(app, digest, patient()), { size });
  await fake.until(() => fake.requests[1]?.closed === true);
  assert.ok((fake.requests[1]?.bytesSent ?? size) < size / 2);
});

test("a probe's HEAD that fails by 5xx, or by 404 at the host it leads to, is made up for by GET", async (t) => {
  for (const cdnHead of [404, 503]) {
    const { fake, upstream } = await startBench(t, { fake: { redirectBlobs: true, cdnHead } });
    const digest = fake.addBlob(app, seededBytes(KIB));
    assert.deepEqual(await upstream.probeBlob(app, digest, patient()), { size: KIB });
  }
});

test("a probe's 404 from the registry itself is believed", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.addImage(app, "latest");
  await assert.rejects(upstream.probeBlob(app, absent, patient()), failsAs("not-found", 404));
  assert.deepEqual(sent(fake), ["registry HEAD blobs/<digest> anonymous 404"]);
});

test("a probe finds an empty blob's size in a refused range", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { blobHead: 405 } });
  const digest = fake.addBlob(app, Buffer.alloc(0));
  fake.script({ method: "GET" }, { kind: "status", status: 416, headers: { "content-range": "bytes */0" } });
  assert.deepEqual(await upstream.probeBlob(app, digest, patient()), { size: 0 });
});

test("a probe that finds no size anywhere says so", async (t) => {
  const { fake, upstream } = await startBench(t);
  const digest = fake.addBlob(app, seededBytes(KIB));
  const unsized: Fault = { kind: "length", contentLength: undefined, times: Infinity };
  fake.script({}, unsized);
  fake.script({}, { kind: "noRange", times: Infinity });
  assert.deepEqual(await upstream.probeBlob(app, digest, patient()), { size: undefined });
});
