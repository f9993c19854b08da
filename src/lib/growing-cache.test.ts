import assert from "node:assert/strict";
import { test } from "node:test";
import { growingCache } from "./growing-cache.ts";

test("a full one lets go of what was least lately used, and of nothing else", () => {
  const cache = growingCache<string, number>(3);
  for (const [key, value] of Object.entries({ a: 1, b: 2, c: 3 })) cache.set(key, value);
  cache.get("a");
  cache.set("c", 4);
  cache.set("d", 5);
  assert.deepEqual(Object.fromEntries(cache), { d: 5, c: 4, a: 1 });
});

test("an empty one takes next to no memory, whatever it may hold one day", () => {
  const before = process.memoryUsage();
  const caches = Array.from({ length: 20 }, () => growingCache<string, true>(1_000_000));
  const after = process.memoryUsage();
  assert.equal(caches.length, 20);
  assert.ok(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers < 20_000_000);
});
