/** Layers that several images share: a client asks for them once, and each image has them. */
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import type { ImageAnswer } from "../src/admin/api/answers.ts";
import { type ApiSite, startApiSite } from "./support/api-site.ts";
import type { FakeContent, FakeImage } from "./support/fake-upstream/types.ts";
import { eventually } from "./support/open-files.ts";

const KB = 1_000;

async function setUp(t: TestContext, workers = 1) {
  const site = await startApiSite(t, { workers });
  const of = (repository: string, ...layers: number[]) =>
    site.upstream.addImage(repository, "1", { seed: "base", layers });
  // The first layer of both is the same.
  return { site, base: of("library/base", 300 * KB), app: of("library/app", 300 * KB, 200 * KB) };
}

async function get(site: ApiSite, { repository }: FakeImage, path: string) {
  return await site.ask("GET", `/v2/${repository}/${path}`, { user: "me" });
}

/** As a client does that has some of its layers already. */
async function pull(site: ApiSite, image: FakeImage, ...without: readonly FakeContent[]) {
  const manifest = await get(site, image, "manifests/1");
  assert.ok(manifest.body.equals(image.bytes), `${manifest.status}`);
  for (const blob of [image.config, ...image.layers]) {
    if (without.some(({ digest }) => digest === blob.digest)) continue;
    const answer = await get(site, image, `blobs/${blob.digest}`);
    assert.ok(answer.isWhole && answer.body.equals(Buffer.from(blob.bytes)), `${blob.digest}: ${answer.status}`);
  }
}

async function shown(site: ApiSite, image: FakeImage): Promise<ImageAnswer> {
  const answer = await site.ask("GET", `/api/v1/images/docker.io/${image.repository}:1`, { user: "ops" });
  assert.equal(answer.status, 200, answer.body.toString());
  return JSON.parse(answer.body.toString()) as ImageAnswer;
}

function sizeOf({ size, config, layers }: FakeImage): number {
  return size + [config, ...layers].reduce((sum, one) => sum + one.size, 0);
}

async function evict(site: ApiSite, { repository }: FakeImage) {
  const images = [`docker.io/${repository}:1`];
  const answer = await site.ask("POST", "/api/v1/evict", { user: "ops", body: { images } });
  assert.equal((JSON.parse(answer.body.toString()) as { imageCount: number }).imageCount, 1, answer.body.toString());
}

test("what is held of an image is told with what is not, and warming fetches that", async (t) => {
  const { site, base, app } = await setUp(t);
  await pull(site, app, ...base.layers);
  await eventually(async () => (await shown(site, app)).size === sizeOf(app) - 300 * KB);
  assert.deepEqual((await shown(site, app)).missing, { contents: 1, of: 3, bytes: 300 * KB });
  const references = [`docker.io/${app.repository}:1`];
  const warmed = await site.ask("POST", "/api/v1/warm", { user: "ops", body: { references, platforms: "all" } });
  assert.equal(warmed.status, 200, warmed.body.toString());
  await eventually(async () => (await shown(site, app)).size === sizeOf(app));
  assert.equal((await shown(site, app)).missing, undefined);
});

for (const workers of [1, 2]) {
  suite(`a layer that a client has from another image, with ${workers} worker${workers === 1 ? "" : "s"}`, () => {
    test("is of both, and stays when the other one is evicted", async (t) => {
      const { site, base, app } = await setUp(t, workers);
      await pull(site, base);
      await eventually(async () => (await shown(site, base)).size === sizeOf(base));
      const layers = site.upstream.count({ path: "/blobs/" });
      await pull(site, app, ...base.layers);
      await eventually(async () => (await shown(site, app)).size === sizeOf(app));
      assert.equal(site.upstream.count({ path: "/blobs/" }), layers + 2);
      await evict(site, base);
      await site.upstream.stop();
      await pull(site, app);
    });

    test("is of both where it comes after the manifest that names it", async (t) => {
      const { site, base, app } = await setUp(t, workers);
      await pull(site, app, ...base.layers);
      await pull(site, base);
      await eventually(async () => (await shown(site, app)).size === sizeOf(app));
      await evict(site, base);
      await site.upstream.stop();
      await pull(site, app);
    });
  });
}
