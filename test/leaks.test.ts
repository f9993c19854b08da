import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { startCache, testRegistry } from "./support/cache.ts";
import { seededBytes } from "./support/bytes.ts";
import { open, readSome } from "./support/client.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";

const MIB = 1024 * 1024;
const PULLS = 200;
const AT_ONCE = 20;
/** Kept-alive connections to the upstream, and what Node opens lazily. */
const SPARE = 20;

const descriptors = () => readdirSync("/proc/self/fd").length;

test("200 pulls that are given up, cold and warm, leave no descriptor open", async (t) => {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream[Symbol.asyncDispose]());
  const digests = Array.from({ length: 10 }, (_, seed) => upstream.addBlob("library/app", seededBytes(MIB, seed)));
  const cache = await startCache(t, [testRegistry(upstream.url)]);
  const giveUp = async (index: number) => {
    const response = await open(`${cache.url}/v2/library/app/blobs/${digests[index % digests.length]}`);
    await readSome(response, 10_000);
    response.destroy();
  };
  await giveUp(0);
  await cache.app.idle();
  const before = descriptors();
  for (let done = 0; done < PULLS; done += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, async (_, index) => await giveUp(done + index)));
  }
  await cache.app.idle();
  // Both ends of each socket are in this process, and close when the event loop comes to them.
  for (let turn = 0; turn < 500 && descriptors() > before + SPARE; turn++) await new Promise(setImmediate);
  assert.ok(descriptors() <= before + SPARE, `${before} before, ${descriptors()} after`);
});
