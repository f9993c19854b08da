/** Tags that upstream has no more, on the whole cache. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { reindexStore } from "../src/app.ts";
import type { RegistryConfig } from "../src/config/config.ts";
import { createLogger } from "../src/lib/logger.ts";
import { startCache, testConfig, testRegistry } from "./support/cache.ts";
import { ask } from "./support/client.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";

const APP = "library/app";
const PATH = `/v2/${APP}/manifests/1`;

async function setUp(t: TestContext, registry: Partial<RegistryConfig> = {}) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const vanished: string[] = [];
  const options = {
    more: { heldNews: { onVanished: (_: unknown, tag: string, digest: string) => vanished.push(`${tag} ${digest}`) } },
  };
  const registries = [
    testRegistry(upstream.url, { tags: [{ match: "*", revalidate: { kind: "after", ms: 0 } }], ...registry }),
  ];
  const cache = await startCache(t, registries, options);
  return { upstream, cache, vanished, registries };
}

/** Each digest of the tag with whether it vanished, the latest first; the cache must have been stopped. */
function historyOf(dataDir: string): [string, boolean][] {
  const catalog = new DatabaseSync(join(dataDir, "catalog.sqlite"), { readOnly: true });
  const columns = "digest, first_seen_at_ms as first, confirmed_at_ms as confirmed, vanished_at_ms as vanished";
  const rows = [
    ...catalog.prepare(`select ${columns} from tags`).all(),
    ...catalog.prepare(`select ${columns} from tag_history order by id desc`).all(),
  ];
  catalog.close();
  for (const { first, confirmed, vanished } of rows) {
    assert.ok(Number(first) > 0 && Number(confirmed) >= Number(first));
    if (vanished !== null) assert.ok(Number(vanished) >= Number(confirmed));
  }
  return rows.map(({ digest, vanished }) => [String(digest), vanished !== null]);
}

test("is served further, and since when is remembered, also over restarts and reindexing", async (t) => {
  const { upstream, cache, vanished, registries } = await setUp(t);
  const { digest } = upstream.addImage(APP, "1");
  assert.equal((await ask(cache.url + PATH)).status, 200);
  upstream.deleteTag(APP, "1");
  for (let time = 0; time < 3; time += 1) {
    const { status, headers } = await ask(cache.url + PATH);
    assert.deepEqual([status, headers["cache-status"]], [200, "registry-cache; hit; detail=stale-not-found"]);
  }
  assert.deepEqual(vanished, [`1 ${digest}`]);
  const again = await cache.restart();
  assert.deepEqual(historyOf(cache.dataDir), [[digest, true]]);
  // What is known already is not told again.
  assert.equal((await ask(again.url + PATH)).headers["cache-status"], "registry-cache; hit; detail=stale-not-found");
  assert.equal(vanished.length, 1);
  await again.stop();
  await reindexStore(
    testConfig(cache.dataDir, registries),
    createLogger({ format: "json", level: "silent", colors: false }),
  );
  assert.deepEqual(historyOf(cache.dataDir), [[digest, true]]);
});

test("is no longer so when upstream has it again, as it was or as another", async (t) => {
  const { upstream, cache, vanished } = await setUp(t);
  const first = upstream.addImage(APP, "1", { seed: 1 });
  await ask(cache.url + PATH);
  upstream.deleteTag(APP, "1");
  await ask(cache.url + PATH);
  upstream.setTag(APP, "1", first.digest);
  // Refusals are remembered for a moment, by this process.
  const second = await cache.restart();
  assert.equal((await ask(second.url + PATH)).headers["cache-status"], "registry-cache; hit; detail=revalidated");
  const third = await second.restart();
  assert.deepEqual(historyOf(cache.dataDir), [[first.digest, false]]);
  upstream.deleteTag(APP, "1");
  await ask(third.url + PATH);
  assert.equal(vanished.length, 2);
  const other = upstream.addImage(APP, "1", { seed: 2 });
  const fourth = await third.restart();
  assert.equal((await ask(fourth.url + PATH)).headers["docker-content-digest"], other.digest);
  await fourth.stop();
  assert.deepEqual(historyOf(cache.dataDir), [
    [other.digest, false],
    [first.digest, true],
  ]);
});

test("is denied where that is wanted, and kept all the same", async (t) => {
  const { upstream, cache, vanished } = await setUp(t, { whenDeleted: "deny" });
  const { digest } = upstream.addImage(APP, "1");
  await ask(cache.url + PATH);
  upstream.deleteTag(APP, "1");
  assert.equal((await ask(cache.url + PATH)).status, 404);
  assert.deepEqual(vanished, [`1 ${digest}`]);
  assert.equal((await ask(`${cache.url}/v2/${APP}/manifests/${digest}`)).status, 200);
});

test("is not meant by a manifest that upstream has lost while the tag is there, nor by one that was never held", async (t) => {
  const { upstream, cache, vanished } = await setUp(t);
  upstream.addImage(APP, "1", { seed: 1 });
  await ask(cache.url + PATH);
  const moved = upstream.addImage(APP, "1", { seed: 2 });
  upstream.script({ method: "GET", path: moved.digest }, { kind: "status", status: 404 });
  assert.equal((await ask(cache.url + PATH)).headers["cache-status"], "registry-cache; hit; detail=stale-not-found");
  assert.equal((await ask(`${cache.url}/v2/${APP}/manifests/2`)).status, 404);
  assert.deepEqual(vanished, []);
});
