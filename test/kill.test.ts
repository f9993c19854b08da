import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { startCacheProcess } from "./support/cache-process.ts";
import { testConfig, testRegistry } from "./support/cache.ts";
import { ask, open } from "./support/client.ts";
import { sha256 } from "./support/bytes.ts";
import { type FakeImage, type FakeUpstream, startFakeUpstream } from "./support/fake-upstream.ts";
import { tempDir } from "./support/temp.ts";

const MIB = 1024 * 1024;
const KILLS = 10;
const LAYERS = [3 * MIB, 2 * MIB, 70_000, 1_000];

test("kill -9 at ten random moments of a pull: pulled again, the bytes are right, partials resumed, no orphan left", async (t) => {
  let resumed = 0;
  for (let round = 0; round < KILLS; round++) resumed += await killedPull(t, round);
  t.diagnostic(`${resumed} partials were resumed by Range`);
  assert.ok(resumed > 0, "at least one of ten partials is resumed");
});

/** Kills the cache after a random number of bytes that upstream has sent; gives the number of resumed transfers. */
async function killedPull(t: Parameters<typeof tempDir>[0], round: number): Promise<number> {
  await using upstream = await startFakeUpstream({ bytesPerSecond: 64 * MIB });
  const image = upstream.addImage("library/app", "1", { layers: LAYERS, seed: round });
  const total = LAYERS.reduce((sum, size) => sum + size, 0);
  const config = testConfig(await tempDir(t), [testRegistry(upstream.url)]);
  const cache = await startCacheProcess(t, config);
  const pulling = pull(cache.url, image).catch(() => undefined);
  // The last rounds die after all bytes have come: in the middle of commits.
  const killAtBytes = round >= KILLS - 2 ? total : Math.floor(Math.random() * total);
  await upstream.until(() => blobBytes(upstream) >= killAtBytes);
  await cache.kill();
  await pulling;

  const before = upstream.requests.length;
  const again = await startCacheProcess(t, config);
  for (const [digest, body] of await pull(again.url, image)) assert.equal(sha256(body), digest);
  const resumed = upstream.requests.slice(before).filter((one) => one.headers.range !== undefined);
  assert.equal(await again.terminate(), 0);
  await assertNoOrphans(config.dataDir);
  return resumed.length;
}

function blobBytes(upstream: FakeUpstream): number {
  const blobs = upstream.requests.filter((one) => one.path.includes("/blobs/"));
  return blobs.reduce((sum, one) => sum + one.bytesSent, 0);
}

/** As clients do: the manifest, then config and layers at once. */
async function pull(url: string, image: FakeImage): Promise<[string, Buffer][]> {
  const manifest = await ask(`${url}/v2/library/app/manifests/1`);
  assert.equal(manifest.status, 200);
  const blobs = [image.config, ...image.layers].map(async ({ digest }): Promise<[string, Buffer]> => {
    const response = await open(`${url}/v2/library/app/blobs/${digest}`);
    return [digest, Buffer.concat((await response.toArray()) as Buffer[])];
  });
  return [[image.digest, manifest.body], ...(await Promise.all(blobs))];
}

/** Every stored blob is linked, and nothing half-written is left anywhere. */
async function assertNoOrphans(dataDir: string): Promise<void> {
  assert.deepEqual(await readdir(join(dataDir, "spool")), []);
  for (const folder of await readdir(join(dataDir, "unfinished"))) {
    assert.deepEqual(await readdir(join(dataDir, "unfinished", folder)), []);
  }
  const v2 = join(dataDir, "docker", "registry", "v2");
  const files = await readdir(join(v2, "repositories"), { recursive: true, withFileTypes: true });
  const links = files.filter((entry) => entry.isFile() && entry.name === "link");
  const linked = new Set(
    await Promise.all(links.map(async (entry) => await readFile(join(entry.parentPath, "link"), "utf8"))),
  );
  const blobs = await readdir(join(v2, "blobs"), { recursive: true, withFileTypes: true });
  for (const entry of blobs.filter((one) => one.isFile())) {
    const bytes = await readFile(join(entry.parentPath, entry.name));
    assert.equal(entry.name, "data");
    assert.ok(linked.has(sha256(bytes)), `${entry.parentPath} is whole and linked`);
  }
}
