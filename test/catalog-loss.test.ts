import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { reindexStore } from "../src/app.ts";
import { startCache, type TestCache, testConfig, testRegistry } from "./support/cache.ts";
import { ask } from "./support/client.ts";
import { type FakeImage, type FakeUpstream, startFakeUpstream } from "./support/fake-upstream.ts";

const ALWAYS = [{ match: "*", revalidate: { kind: "always" } }] as const;
const PARTS = ["", "-wal", "-shm"];

/** A cache that holds one image under a tag, stopped, and its upstream stopped. */
async function heldAndAlone(t: TestContext): Promise<{ upstream: FakeUpstream; image: FakeImage; cache: TestCache }> {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream[Symbol.asyncDispose]());
  const image = upstream.addImage("library/app", "1");
  const cache = await startCache(t, [testRegistry(upstream.url, { tags: ALWAYS })]);
  await pull(cache, image);
  await cache.app.idle();
  await cache.stop();
  await upstream.stop();
  return { upstream, image, cache };
}

async function pull(cache: TestCache, image: FakeImage): Promise<void> {
  const at = `${cache.url}/v2/library/app`;
  for (const reference of ["1", image.digest]) {
    const manifest = await ask(`${at}/manifests/${reference}`);
    assert.ok(manifest.body.equals(image.bytes), `${reference}: ${manifest.status} ${manifest.body.toString()}`);
  }
  for (const { digest, bytes } of [image.config, ...image.layers]) {
    assert.ok((await ask(`${at}/blobs/${digest}`)).body.equals(bytes), digest);
  }
}

async function assertOneImageCounted(cache: TestCache): Promise<void> {
  const { body } = await ask(`${cache.url}/summary`);
  assert.deepEqual(JSON.parse(body.toString()), { summary: { dockerhub: 1, total: 1 } });
}

const catalogPath = (cache: TestCache, part = "") => join(cache.dataDir, `catalog.sqlite${part}`);

const LOSSES: readonly [string, (cache: TestCache) => Promise<void>][] = [
  [
    "deleted",
    async (cache) => {
      for (const part of PARTS) await rm(catalogPath(cache, part), { force: true });
    },
  ],
  [
    "overwritten with something else",
    async (cache) => {
      for (const part of PARTS) await rm(catalogPath(cache, part), { force: true });
      await writeFile(catalogPath(cache), "no database at all, but long enough to have a header ".repeat(100));
    },
  ],
  ["cut short", async (cache) => await writeFile(catalogPath(cache), "SQLite format 3\0")],
  [
    "left with a log that is not its own",
    async (cache) => {
      await rm(catalogPath(cache), { force: true });
      for (const part of PARTS.slice(1)) await writeFile(catalogPath(cache, part), Buffer.alloc(40_000, 7));
    },
  ],
];

for (const [what, lose] of LOSSES) {
  test(`a catalog that was ${what} loses no image: pulls work at once without upstream, statistics come back`, async (t) => {
    const { image, cache } = await heldAndAlone(t);
    await lose(cache);
    const again = await cache.restart();
    await pull(again, image);
    await again.app.idle();
    await assertOneImageCounted(again);
    await again.stop();
    const third = await again.restart();
    await pull(third, image);
    await assertOneImageCounted(third);
  });
}

test("reindex says what it found, and finds it again", async (t) => {
  const { upstream, image, cache } = await heldAndAlone(t);
  const config = testConfig(cache.dataDir, [testRegistry(upstream.url)]);
  const expected = {
    repositories: 1,
    manifests: 1,
    tags: 1,
    blobs: 1 + image.layers.length,
    bytes: image.size + image.config.size + image.layers.reduce((sum, layer) => sum + layer.size, 0),
    problems: [],
    problemCount: 0,
  };
  const log = pino({ level: "silent" });
  assert.deepEqual(await reindexStore(config, log), expected);
  for (const part of PARTS) await rm(catalogPath(cache, part), { force: true });
  assert.deepEqual(await reindexStore(config, log), expected);
  await assertOneImageCounted(await cache.restart());
});

test("a manifest in which a bit has flipped is mended from upstream, for good", async (t) => {
  const { upstream, image, cache } = await heldAndAlone(t);
  const hex = image.digest.slice("sha256:".length);
  const path = join(cache.dataDir, "docker/registry/v2/blobs/sha256", hex.slice(0, 2), hex, "data");
  const flipped = Buffer.from(image.bytes);
  flipped[20] = (flipped[20] ?? 0) ^ 1;
  await writeFile(path, flipped);
  await upstream.restart();
  const mended = await cache.restart();
  await pull(mended, image);
  await mended.stop();
  await upstream.stop();
  await pull(await mended.restart(), image);
});

test("real pulls record last use, the tag's history and whose credentials fetched what", async (t) => {
  const upstream = await startFakeUpstream({ auth: "bearer", users: { me: "secret" } });
  t.after(async () => await upstream[Symbol.asyncDispose]());
  const old = upstream.addImage("library/app", "1");
  const credentials = { kind: "basic", username: "me", password: "secret" } as const;
  const cache = await startCache(t, [testRegistry(upstream.url, { tags: ALWAYS, credentials })]);
  const beforeMs = Date.now();
  await pull(cache, old);
  const moved = upstream.addImage("library/app", "1", { seed: "moved" });
  await pull(cache, moved);
  const usedMs = Date.now();
  await ask(`${cache.url}/v2/library/app/manifests/${old.digest}`);
  await cache.app.idle();
  await cache.stop();

  const db = new DatabaseSync(catalogPath(cache), { readOnly: true });
  const rows = (query: string) => db.prepare(query).all() as Record<string, unknown>[];
  assert.deepEqual(
    rows("select tag, digest from tags").map((row) => Object.values(row)),
    [["1", moved.digest]],
  );
  assert.deepEqual(
    rows("select tag, digest from tag_history").map((row) => Object.values(row)),
    [["1", old.digest]],
  );
  const manifests = rows("select digest, fetched_with, last_used_at_ms from manifests");
  assert.equal(manifests.length, 2);
  const blobs = rows("select digest, fetched_with, last_used_at_ms from blobs");
  assert.equal(blobs.length, 2 + old.layers.length + moved.layers.length);
  for (const row of [...manifests, ...blobs]) {
    assert.match(String(row["fetched_with"]), /^basic:/);
    assert.ok(Number(row["last_used_at_ms"]) >= beforeMs);
  }
  const again = manifests.find((row) => row["digest"] === old.digest);
  assert.ok(Number(again?.["last_used_at_ms"]) >= usedMs, "a pull by digest is a use as well");
  db.close();
});
