import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import type { Config } from "../src/config/config.ts";
import { assertCatalogAgrees, assertWhole, readStore } from "./faults/support/agreement.ts";
import { keptBytes } from "./faults/support/folder-size.ts";
import { startCacheProcess } from "./support/cache-process.ts";
import { testConfig, testRegistry } from "./support/cache.ts";
import { type Answer, ask, open, readSome } from "./support/client.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import type { FakeImage } from "./support/fake-upstream/types.ts";
import { eventually } from "./support/open-files.ts";
import { tempDir } from "./support/temp.ts";

const KB = 1_000;
const BUDGET_BYTES = 1_000 * KB;
const REPOSITORY = "library/app";

async function setUp(t: TestContext, workers: number, differs: Partial<Config> = {}) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream[Symbol.asyncDispose]());
  const dataDir = await tempDir(t);
  const own = testRegistry(upstream.url);
  const config = testConfig(dataDir, [own], { workers, maxSizeBytes: BUDGET_BYTES, ...differs });
  const cache = await startCacheProcess(t, config);
  const image = (tag: string, ...layers: number[]) => upstream.addImage(REPOSITORY, tag, { seed: tag, layers });
  const get = async (path: string, method = "GET"): Promise<Answer> => {
    const answer = await ask(`${cache.url}/v2/${REPOSITORY}/${path}`, { method });
    assert.equal(answer.status, 200, `${path}: ${answer.body.subarray(0, 300).toString()}`);
    return answer;
  };
  /** All of an image, byte for byte. */
  const pull = async (one: FakeImage, reference: string = one.digest): Promise<Answer[]> => {
    const manifest = await get(`manifests/${reference}`);
    assert.ok(manifest.body.equals(one.bytes));
    const blobs = [one.config, ...one.layers].map(async ({ digest, bytes }) => {
      const answer = await get(`blobs/${digest}`);
      assert.ok(answer.isWhole && answer.body.equals(Buffer.from(bytes)), digest);
      return answer;
    });
    return [manifest, ...(await Promise.all(blobs))];
  };
  /** Until all of it is answered from what is held: what is sent last is written last. */
  const hold = async (one: FakeImage, reference?: string): Promise<void> => {
    await eventually(async () => (await pull(one, reference)).every(isHit));
  };
  return { upstream, dataDir, cache, image, get, pull, hold };
}

/** Of a manifest, as the catalog has it. */
function lastUse(dataDir: string, digest: string): number {
  const db = new DatabaseSync(join(dataDir, "catalog.sqlite"), { readOnly: true });
  try {
    return Number(db.prepare("select last_used_at_ms as at from manifests where digest = ?").get(digest)?.["at"]);
  } finally {
    db.close();
  }
}

function isHit({ headers }: Answer): boolean {
  return /; hit\b/.test(String(headers["cache-status"]));
}

for (const workers of [1, 2]) {
  const many = workers === 1 ? "1 worker" : "2 workers";

  test(`concurrent pulls of more than the budget holds: never over it, and all bytes right (${many})`, async (t) => {
    const { dataDir, image, pull, cache } = await setUp(t, workers);
    const images = Array.from({ length: 12 }, (_, at) => image(`t${at}`, 150 * KB, (50 + 10 * at) * KB));
    let [isPulling, over] = [true, -BUDGET_BYTES];
    const looking = (async () => {
      for (; isPulling; await new Promise((resolve) => setTimeout(resolve, 5)))
        over = Math.max(over, (await keptBytes(dataDir)) - BUDGET_BYTES);
    })();
    const clients = [0, 1, 2, 3].map(async (own) => {
      for (let round = 0; round < 12; round += 1)
        await pull(images[(own * 5 + round * 7) % images.length] as FakeImage);
    });
    await Promise.all(clients);
    isPulling = false;
    await looking;
    assert.ok(over <= 0, `${over} bytes over the budget`);
    assert.ok((await keptBytes(dataDir)) > BUDGET_BYTES / 2);
    assert.equal(await cache.terminate(), 0);
    const facts = await readStore(dataDir);
    assertWhole(facts);
    assertCatalogAgrees(dataDir, facts);
  });

  test(`what was evicted is remembered nowhere, and fetched anew (${many})`, async (t) => {
    const { image, hold, pull, get } = await setUp(t, workers);
    const [old, young] = [image("old", 600 * KB), image("young", 600 * KB)];
    await hold(old, "old");
    await hold(young, "young");
    // Whichever process it comes to.
    for (let client = 0; client < 2 * workers; client += 1) {
      const { headers } = await get(`blobs/${old.config.digest}`, "HEAD");
      assert.doesNotMatch(String(headers["cache-status"]), /; hit/);
    }
    assert.ok((await pull(old, "old")).some((answer) => !isHit(answer)));
  });

  test(`whoever reads what is evicted reads on to its end (${many})`, async (t) => {
    const { image, hold, cache } = await setUp(t, workers);
    const old = image("old", 600 * KB);
    await hold(old);
    const layer = old.layers[0] as FakeImage["layers"][number];
    const response = await open(`${cache.url}/v2/${REPOSITORY}/blobs/${layer.digest}`);
    const pieces = [await readSome(response, 10 * KB)];
    await hold(image("young", 700 * KB));
    for await (const piece of response) pieces.push(piece as Buffer);
    assert.ok(Buffer.concat(pieces).equals(Buffer.from(layer.bytes)));
  });

  test(`an index is as young as its child that is pulled by digest alone (${many})`, async (t) => {
    const { upstream, image, get, hold, cache, dataDir } = await setUp(t, workers);
    const index = upstream.addIndex(REPOSITORY, "multi", ["linux/amd64"], { seed: "multi", layers: [300 * KB] });
    const child = index.images[0] as FakeImage;
    await get("manifests/multi");
    await hold(child);
    await hold(image("other", 400 * KB), "other");
    // Every client has the layers already, and asks for the child alone.
    const other = lastUse(dataDir, image("other", 400 * KB).digest);
    await eventually(async () => {
      await get(`manifests/${child.digest}`, "HEAD");
      return lastUse(dataDir, index.digest) > other;
    });
    await hold(image("third", 400 * KB), "third");
    assert.equal(await cache.terminate(), 0);
    const { manifests } = await readStore(dataDir);
    const has = (digest: string) => manifests.has(`docker.io/${REPOSITORY}@${digest}`);
    assert.deepEqual([has(index.digest), has(child.digest)], [true, true]);
    assert.equal(manifests.size, 3);
  });

  test(`what is pinned stays, and what does not fit beside it is streamed through (${many})`, async (t) => {
    const { dataDir, image, hold, pull } = await setUp(t, workers, { pins: ["docker.io/library/*:conf*"] });
    await writeFile(join(dataDir, "pins.txt"), "docker.io/library/app:filed # by hand\n");
    const [byConfig, byFile] = [image("configured", 400 * KB), image("filed", 400 * KB)];
    await hold(byConfig, "configured");
    await hold(byFile, "filed");
    const big = image("big", 500 * KB);
    const answers = await pull(big, "big");
    assert.match(String(answers[2]?.headers["cache-status"]), /no-room/);
    await pull(image("huge", 1_100 * KB), "huge");
    assert.ok((await pull(byConfig)).every(isHit));
    assert.ok((await pull(byFile)).every(isHit));
  });
}

test("a registry's budget keeps it in its bounds, others have the rest", async (t) => {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream[Symbol.asyncDispose]());
  const dataDir = await tempDir(t);
  const small = testRegistry(upstream.url, { id: "corp", serves: "corp.example", aliases: [], maxSizeBytes: 500 * KB });
  const cache = await startCacheProcess(t, testConfig(dataDir, [testRegistry(upstream.url), small]));
  const images = Array.from({ length: 6 }, (_, at) =>
    upstream.addImage("library/app", `t${at}`, { seed: `${at}`, layers: [200 * KB] }),
  );
  for (const one of images) {
    for (const prefix of ["corp.example/", ""]) {
      const blobs = [one.config, ...one.layers].map(({ digest }) => `blobs/${digest}`);
      for (const path of [`manifests/${one.digest}`, ...blobs])
        assert.equal((await ask(`${cache.url}/v2/${prefix}library/app/${path}`)).status, 200);
    }
  }
  assert.equal(await cache.terminate(), 0);
  const { manifests } = await readStore(dataDir);
  const of = (serves: string) => [...manifests].filter((one) => one.startsWith(`${serves}/`)).length;
  assert.equal(of("docker.io"), 6);
  assert.ok(of("corp.example") >= 1 && of("corp.example") <= 2, `${of("corp.example")}`);
});
