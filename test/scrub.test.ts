import assert from "node:assert/strict";
import { copyFile, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { suite, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import * as fc from "fast-check";
import { askCache } from "../src/cli/control-client.ts";
import { parsePlace, SCRUB_FILE } from "../src/upkeep/scrub/place.ts";
import { assertCatalogAgrees, assertWhole, filesBelow, readStore } from "./faults/support/agreement.ts";
import { startCacheProcess } from "./support/cache-process.ts";
import type { ScrubAnswer } from "../src/admin/api/answers.ts";
import { startCache, testConfig, testRegistry } from "./support/cache.ts";
import { ask } from "./support/client.ts";
import { runCommand } from "./support/command.ts";
import { type FakeImage, startFakeUpstream } from "./support/fake-upstream.ts";
import { prove } from "./support/property.ts";
import { tempDir } from "./support/temp.ts";

const LAYERS = [3_000_000, 200_000];
const KEPT = [{ match: "*", revalidate: { kind: "never" } }] as const;

async function site(t: TestContext, workers = 1) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream[Symbol.asyncDispose]());
  const image = upstream.addImage("library/app", "1", { layers: LAYERS });
  const options = { config: { workers } };
  const cache = await startCache(t, [testRegistry(upstream.url, { tags: KEPT })], options);
  await pull(cache.url, image);
  await cache.app.idle();
  return { upstream, image, cache };
}

async function pull(url: string, image: FakeImage): Promise<void> {
  const manifest = await ask(`${url}/v2/library/app/manifests/1`);
  assert.ok(manifest.body.equals(image.bytes), `${manifest.status} ${manifest.body.toString()}`);
  for (const { digest, bytes } of [image.config, ...image.layers]) {
    const { status, body } = await ask(`${url}/v2/library/app/blobs/${digest}`);
    assert.ok(body.equals(bytes), `${digest}: ${status}`);
  }
}

const signal = new AbortController().signal;

async function told(dataDir: string): Promise<ScrubAnswer> {
  return (await askCache(dataDir, { method: "GET", path: "/api/v1/scrub", signal })) as ScrubAnswer;
}

async function begin(dataDir: string, body: object = {}): Promise<void> {
  await askCache(dataDir, { method: "POST", path: "/api/v1/scrub", body, signal });
}

async function scrubbed(dataDir: string, body: object = {}): Promise<ScrubAnswer> {
  await begin(dataDir, body);
  return await over(dataDir);
}

async function over(dataDir: string): Promise<ScrubAnswer> {
  return await eventually(async () => {
    const state = await told(dataDir);
    return state.isRunning ? undefined : state;
  });
}

async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (const lastMs = Date.now() + 30_000; Date.now() < lastMs; await delay(20)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  assert.fail(`never came true: ${look.toString()}`);
}

const v2 = (dataDir: string) => join(dataDir, "docker", "registry", "v2");

function blobPath(dataDir: string, digest: string): string {
  const hex = digest.slice("sha256:".length);
  return join(v2(dataDir), "blobs", "sha256", hex.slice(0, 2), hex, "data");
}

function linkPath(dataDir: string, kind: "_layers" | "_manifests/revisions", digest: string): string {
  const hex = digest.slice("sha256:".length);
  return join(v2(dataDir), "repositories/docker.io/library/app", kind, "sha256", hex, "link");
}

const tagPath = (dataDir: string) =>
  join(v2(dataDir), "repositories/docker.io/library/app/_manifests/tags/1/current/link");

async function flip(path: string): Promise<void> {
  const bytes = await readFile(path);
  bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
  await writeFile(path, bytes);
}

/** Under the same name, so that whoever has the right file open reads on. */
async function replaceByDamaged(path: string): Promise<void> {
  const copy = `${path}.damaged`;
  await copyFile(path, copy).catch(() => undefined);
  await flip(copy).then(
    async () => await rename(copy, path),
    // It was being fetched anew.
    () => undefined,
  );
}

async function assertSound(dataDir: string): Promise<void> {
  const facts = await readStore(dataDir);
  assertWhole(facts);
  assertCatalogAgrees(dataDir, facts);
  assertCountsAgree(facts.blobs.size, dataDir);
}

function assertCountsAgree(contents: number, dataDir: string): void {
  const db = new DatabaseSync(join(dataDir, "catalog.sqlite"), { readOnly: true });
  try {
    const row = db.prepare("select contents from content_sizes where registry_id = ''").get();
    assert.equal(row?.["contents"] ?? 0, contents, "contents that are counted, and that are stored");
  } finally {
    db.close();
  }
}

/** Real damage, by what it is called. */
const DAMAGES: Readonly<Record<string, (dataDir: string, image: FakeImage) => Promise<void>>> = {
  "a flipped bit of a large layer": async (dir, { layers }) => await flip(blobPath(dir, layers[0]?.digest ?? "")),
  "a flipped bit of a small layer": async (dir, { layers }) => await flip(blobPath(dir, layers[1]?.digest ?? "")),
  "a layer that was cut short": async (dir, { layers }) => await truncate(blobPath(dir, layers[0]?.digest ?? ""), 1000),
  "one layer in the place of another": async (dir, { layers }) =>
    await copyFile(blobPath(dir, layers[1]?.digest ?? ""), blobPath(dir, layers[0]?.digest ?? "")),
  "an empty configuration": async (dir, { config }) => await truncate(blobPath(dir, config.digest), 0),
  "a layer without its file": async (dir, { layers }) => await rm(blobPath(dir, layers[0]?.digest ?? "")),
  "a flipped bit of the manifest": async (dir, { digest }) => await flip(blobPath(dir, digest)),
  "a manifest without its file": async (dir, { digest }) => await rm(blobPath(dir, digest)),
  "a manifest's link that says nothing": async (dir, { digest }) =>
    await writeFile(linkPath(dir, "_manifests/revisions", digest), ""),
  "a manifest's link that is not there": async (dir, { digest }) =>
    await rm(linkPath(dir, "_manifests/revisions", digest)),
  "a layer's link that says something else": async (dir, { layers }) =>
    await writeFile(linkPath(dir, "_layers", layers[0]?.digest ?? ""), "sha256:nothing"),
  "a tag that says nothing": async (dir) => await writeFile(tagPath(dir), ""),
};

suite("a scrub", () => {
  for (const [name, damage] of Object.entries(DAMAGES)) {
    test(`finds and heals ${name}`, async (t) => {
      const { cache, image, upstream } = await site(t);
      await damage(cache.dataDir, image);
      const { damaged, healed } = await scrubbed(cache.dataDir);
      assert.deepEqual({ damaged, healed }, { damaged: 1, healed: 1 });
      await cache.app.idle();
      await assertSound(cache.dataDir);
      const { tags } = await readStore(cache.dataDir);
      assert.equal(tags.get("docker.io/library/app:1"), image.digest, "the tag leads where it led");
      await upstream.stop();
      await pull(cache.url, image);
    });

    test(`loses nothing else with ${name} when nobody gives it`, async (t) => {
      const { cache, image, upstream } = await site(t);
      await upstream.stop();
      // What is in memory would heal it.
      const again = await cache.restart();
      await damage(again.dataDir, image);
      const before = await readStore(again.dataDir);
      const { damaged } = await scrubbed(again.dataDir);
      assert.equal(damaged, 1);
      await again.app.idle();
      await assertSound(again.dataDir);
      const after = await readStore(again.dataDir);
      for (const digest of before.blobs) {
        const isLed = [...before.manifests, ...before.layers].some((link) => link.endsWith(`@${digest}`));
        if (isLed) assert.ok(after.blobs.has(digest), `${digest} is still there`);
      }
    });
  }

  test("says how far it is, and hashes every byte once", async (t) => {
    const { cache, image } = await site(t);
    const state = await scrubbed(cache.dataDir);
    const all = [image, image.config, ...image.layers].reduce((sum, { size }) => sum + size, 0);
    assert.deepEqual([state.blobs, state.blobsDone, state.bytes, state.bytesDone], [4, 4, all, all]);
    assert.ok(state.finishedAt !== undefined);
    assert.deepEqual([state.damaged, state.healed], [0, 0]);
  });

  test("is one at a time, stops at once, and goes on from there", async (t) => {
    const { cache, image } = await site(t);
    await begin(cache.dataDir, { bytesPerSecond: 1024 });
    await assert.rejects(begin(cache.dataDir), /under way already/);
    await askCache(cache.dataDir, { method: "DELETE", path: "/api/v1/scrub", signal });
    const stopped = await over(cache.dataDir);
    assert.equal(stopped.finishedAt, undefined);
    await flip(blobPath(cache.dataDir, image.layers[0]?.digest ?? ""));
    assert.equal((await scrubbed(cache.dataDir)).blobsDone, 4);
  });

  for (const workers of [1, 2]) {
    test(`beside pulls with ${workers} workers no wrong byte is served`, async (t) => {
      const { cache, image } = await site(t, workers);
      let isOver = false;
      let served = 0;
      const pulling = Promise.all(
        image.layers.map(async ({ digest, bytes }) => {
          while (!isOver) {
            // Damaged bytes may be an error response or a broken connection, never an answer.
            const answer = await ask(`${cache.url}/v2/library/app/blobs/${digest}`).catch(() => undefined);
            if (answer?.status !== 200) continue;
            assert.ok(answer.body.equals(bytes), digest);
            served += 1;
          }
        }),
      );
      for (let round = 0; round < 3; round += 1) {
        for (const { digest } of image.layers) await replaceByDamaged(blobPath(cache.dataDir, digest));
        await scrubbed(cache.dataDir);
      }
      isOver = true;
      await pulling;
      assert.ok(served > 0);
      await cache.app.idle();
      await assertSound(cache.dataDir);
    });
  }

  test("goes on after a kill where it stood, by itself, and leaves nothing out", async (t) => {
    const upstream = await startFakeUpstream();
    t.after(async () => await upstream[Symbol.asyncDispose]());
    const image = upstream.addImage("library/app", "1", { layers: Array.from({ length: 20 }, () => 100_000) });
    const dataDir = await tempDir(t);
    const config = testConfig(dataDir, [testRegistry(upstream.url, { tags: KEPT })]);
    const first = await startCacheProcess(t, config);
    await pull(first.url, image);
    await begin(dataDir, { bytesPerSecond: 200_000 });
    const place = await eventually(async () => {
      const text = await readFile(join(dataDir, SCRUB_FILE), "utf8").catch(() => "");
      const read = parsePlace(text);
      return read !== undefined && read.blobsDone > 1 ? read : undefined;
    });
    await first.kill();
    const digests = (await filesBelow(join(v2(dataDir), "blobs"))).map((path) => path.split("/").at(-2) ?? "");
    const left = digests.filter((hex) => `sha256:${hex}` > place.after).toSorted();
    assert.equal(left.length, digests.length - place.blobsDone, "it stands behind as many as it has done");
    for (const hex of [left[0], left.at(-1)]) await flip(blobPath(dataDir, `sha256:${hex}`));
    await startCacheProcess(t, config);
    assert.equal((await told(dataDir)).isRunning, true);
    const state = await over(dataDir);
    assert.deepEqual([state.damaged, state.healed], [2, 2]);
    assert.equal(state.blobsDone, digests.length);
    assertWhole(await readStore(dataDir));
  });

  test("finds any set of damages", async (t) => {
    const { cache, image } = await site(t);
    const contents = [image, image.config, ...image.layers];
    const one = fc.record({ which: fc.nat(contents.length - 1), how: fc.constantFrom("flip", "cut", "remove") });
    const several = fc.uniqueArray(one, { selector: ({ which }) => which, minLength: 1 });
    const property = fc.asyncProperty(several, async (damages) => {
      for (const { which, how } of damages) {
        const path = blobPath(cache.dataDir, contents[which]?.digest ?? "");
        if (how === "flip") await flip(path);
        else if (how === "cut") await truncate(path, 1);
        else await rm(path);
      }
      const { damaged, healed } = await scrubbed(cache.dataDir);
      assert.deepEqual([damaged, healed], [damages.length, damages.length]);
      await cache.app.idle();
      await assertSound(cache.dataDir);
    });
    await prove(property, 15);
  });
});

test("the catalog of a running cache is rebuilt when somebody asks for it", async (t) => {
  const { cache, image } = await site(t);
  await askCache(cache.dataDir, { method: "POST", path: "/api/v1/reindex", signal });
  const pulls = Promise.all([0, 1, 2].map(async () => await pull(cache.url, image)));
  const { report } = await eventually(async () => {
    const state = await askCache(cache.dataDir, { method: "GET", path: "/api/v1/reindex", signal });
    const { isRunning, ...rest } = state as { isRunning: boolean; report?: Record<string, unknown> };
    return isRunning ? undefined : rest;
  });
  await pulls;
  const { repositories, manifests, tags, blobs, problemCount } = report ?? {};
  assert.deepEqual([repositories, manifests, tags, blobs, problemCount], [1, 1, 1, 3, 0]);
  await cache.app.idle();
  await assertSound(cache.dataDir);
});

test("from the command line: exit code 1 only where something could not be fetched anew", async (t) => {
  const { cache, image, upstream } = await site(t);
  const run = async (...args: string[]) =>
    await runCommand(t, args, { cwd: cache.dataDir, environment: { REGISTRY_CACHE_DATA_DIR: cache.dataDir } });
  const [layer] = image.layers;
  await flip(blobPath(cache.dataDir, layer?.digest ?? ""));
  const healed = await run("scrub", "--rate", "10MiB", "--wait");
  assert.deepEqual([healed.exitCode, healed.err], [0, ""]);
  assert.match(healed.out, /4 blobs, 3\.1 MiB; 1 damaged, 1 of them fetched anew\n$/);
  await upstream.stop();
  await flip(blobPath(cache.dataDir, layer?.digest ?? ""));
  const lost = await run("scrub", "--wait");
  assert.equal(lost.exitCode, 1);
  assert.match(lost.out, /1 could not be fetched anew and is held no longer/);
  const status = await run("scrub", "--status", "--json");
  assert.equal((JSON.parse(status.out) as ScrubAnswer).damaged, 1);
  assert.match((await run("scrub", "--stop")).err, /no scrub is under way/);
  assert.equal((await run("scrub", "--stop", "--wait")).exitCode, 2);
  assert.equal((await run("scrub", "--rate", "5")).exitCode, 2);
  const { exitCode, out } = await run("reindex");
  assert.deepEqual([exitCode, out], [0, "catalog rebuilt: 1 repository, 1 manifest, 1 tag, 2 blobs, 196 KiB\n"]);
});
