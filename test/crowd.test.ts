import assert from "node:assert/strict";
import { test } from "node:test";
import { startCacheProcess } from "./support/cache-process.ts";
import { testConfig, testRegistry } from "./support/cache.ts";
import { ask, open } from "./support/client.ts";
import { seededBytes } from "./support/bytes.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import { tempDir } from "./support/temp.ts";

const MIB = 1024 * 1024;
const CLIENTS = 100;
const RESIDENT_BYTES_MAX = 250 * MIB;

test("100 clients of one cold 64 MiB blob: one upstream GET, right bytes for all, bounded memory, the slowest slows nobody", async (t) => {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream[Symbol.asyncDispose]());
  const bytes = seededBytes(64 * MIB, 1);
  const digest = upstream.addBlob("library/app", bytes);
  const config = testConfig(await tempDir(t), [testRegistry(upstream.url)]);
  const cache = await startCacheProcess(t, config);
  const url = `${cache.url}/v2/library/app/blobs/${digest}`;

  // The slowest reads nothing at all until everybody else has finished.
  const slowest = await open(url);
  const others = await Promise.all(Array.from({ length: CLIENTS - 1 }, async () => await isRight(url, bytes)));
  assert.ok(others.every((right) => right));
  assert.equal(slowest.readableEnded, false);

  assert.ok(Buffer.concat((await slowest.toArray()) as Buffer[]).equals(bytes));
  assert.equal(upstream.count({ method: "GET", path: "/blobs/" }), 1);
  const resident = await cache.peakResidentBytes();
  t.diagnostic(`peak resident: ${Math.round(resident / MIB)} MiB`);
  assert.ok(resident < RESIDENT_BYTES_MAX, `${Math.round(resident / MIB)} MiB resident`);
  assert.equal((await ask(url.replace(/\/v2\/.*/, "/healthz"))).status, 200);
});

async function isRight(url: string, expected: Buffer): Promise<boolean> {
  let position = 0;
  for await (const piece of (await open(url)) as AsyncIterable<Buffer>) {
    if (!expected.subarray(position, position + piece.length).equals(piece)) return false;
    position += piece.length;
  }
  return position === expected.length;
}
