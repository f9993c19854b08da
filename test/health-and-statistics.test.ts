import assert from "node:assert/strict";
import { test } from "node:test";
import { startCache, testRegistry } from "./support/cache.ts";
import { ask } from "./support/client.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import type { HasAfter } from "./support/temp.ts";

async function setUp(t: HasAfter) {
  const hub = await startFakeUpstream();
  const ghcr = await startFakeUpstream();
  t.after(async () => void (await Promise.all([hub.stop(), ghcr.stop()])));
  hub.addImage("library/nginx", "latest");
  hub.addImage("library/nginx", "1.27");
  hub.addImage("library/redis", "7-alpine");
  ghcr.addImage("actions/runner", "latest");
  const registries = {
    dockerhub: testRegistry(hub.url),
    ghcr: testRegistry(ghcr.url, { id: "ghcr", serves: "ghcr.io", aliases: [], libraryPrefix: false }),
    quay: testRegistry("http://127.0.0.1:9", { id: "quay", serves: "quay.io", aliases: [], libraryPrefix: false }),
  };
  const cache = await startCache(t, Object.values(registries));
  return { hub, ghcr, registries, cache };
}

async function json(url: string): Promise<unknown> {
  const answer = await ask(url);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["content-type"], "application/json");
  assert.equal(answer.headers["cache-control"], "no-store");
  return JSON.parse(answer.body.toString("utf8"));
}

async function pullAll(url: string): Promise<void> {
  for (const path of ["nginx/manifests/latest", "nginx/manifests/1.27", "redis/manifests/7-alpine"]) {
    assert.equal((await ask(`${url}/v2/library/${path}`)).status, 200);
  }
  assert.equal((await ask(`${url}/v2/ghcr.io/actions/runner/manifests/latest`)).status, 200);
}

test("/ and /summary have the seed's shape, with nothing held yet", async (t) => {
  const { hub, ghcr, cache } = await setUp(t);
  assert.deepEqual(await json(`${cache.url}/summary`), { summary: { dockerhub: 0, ghcr: 0, quay: 0, total: 0 } });
  assert.deepEqual(await json(`${cache.url}/`), {
    registries: {
      dockerhub: { url: hub.url, images: 0, repositories: [] },
      ghcr: { url: ghcr.url, images: 0, repositories: [] },
      quay: { url: "http://127.0.0.1:9", images: 0, repositories: [] },
    },
    summary: { dockerhub: 0, ghcr: 0, quay: 0, total: 0 },
  });
});

test("after pulls they list what is held, and ask no upstream", async (t) => {
  const { hub, ghcr, cache } = await setUp(t);
  await pullAll(cache.url);
  await cache.app.idle();
  const asked = hub.requests.length + ghcr.requests.length;
  const summary = { dockerhub: 3, ghcr: 1, quay: 0, total: 4 };
  assert.deepEqual(await json(`${cache.url}/summary`), { summary });
  assert.deepEqual(await json(`${cache.url}/`), {
    registries: {
      dockerhub: {
        url: hub.url,
        images: 3,
        repositories: [
          { name: "library/nginx", tags: ["1.27", "latest"] },
          { name: "library/redis", tags: ["7-alpine"] },
        ],
      },
      ghcr: { url: ghcr.url, images: 1, repositories: [{ name: "actions/runner", tags: ["latest"] }] },
      quay: { url: "http://127.0.0.1:9", images: 0, repositories: [] },
    },
    summary,
  });
  assert.equal(hub.requests.length + ghcr.requests.length, asked);
});

test("/ gives pages where they are asked for, with the counts of everything in each", async (t) => {
  const { cache } = await setUp(t);
  await pullAll(cache.url);
  await cache.app.idle();
  const pages: string[][] = [];
  let path = "/?n=1";
  for (; pages.length < 9;) {
    const answer = await ask(`${cache.url}${path}`);
    assert.equal(answer.status, 200);
    const { registries, summary } = JSON.parse(answer.body.toString()) as {
      registries: Record<string, { images: number; repositories: { name: string; tags: string[] }[] }>;
      summary: Record<string, number>;
    };
    assert.deepEqual(summary, { dockerhub: 3, ghcr: 1, quay: 0, total: 4 });
    assert.equal(registries["dockerhub"]?.images, 3);
    const shown = Object.entries(registries).flatMap(([id, { repositories }]) =>
      repositories.map(({ name, tags }) => `${id} ${name} ${tags.join()}`),
    );
    pages.push(shown);
    const next = /^<([^>]+)>; rel="next"$/.exec(String(answer.headers["link"] ?? ""))?.[1];
    if (next === undefined) break;
    path = next;
  }
  assert.deepEqual(pages, [
    ["dockerhub library/nginx 1.27,latest"],
    ["dockerhub library/redis 7-alpine"],
    ["ghcr actions/runner latest"],
  ]);
  assert.equal((await ask(`${cache.url}/?n=x`)).status, 400);
  assert.equal((await ask(`${cache.url}/?last=nowhere/x`)).status, 400);
});

test("keys come in the order of the configuration, total last", async (t) => {
  const { cache } = await setUp(t);
  const { summary } = (await json(`${cache.url}/summary`)) as { summary: object };
  assert.deepEqual(Object.keys(summary), ["dockerhub", "ghcr", "quay", "total"]);
});

test("what did not come, is no image, or was asked for twice is not counted again", async (t) => {
  const { hub, cache } = await setUp(t);
  const image = hub.addImage("library/app", "1");
  await ask(`${cache.url}/v2/library/nginx/manifests/none`);
  await ask(`${cache.url}/v2/library/app/manifests/${image.digest}`);
  await ask(`${cache.url}/v2/library/app/blobs/${image.config.digest}`);
  for (let time = 0; time < 3; time++) await ask(`${cache.url}/v2/app/manifests/1`);
  await cache.app.idle();
  assert.deepEqual(await json(`${cache.url}/summary`), { summary: { dockerhub: 1, ghcr: 0, quay: 0, total: 1 } });
});

test("a registry that is switched off is left out, of the total too, and comes back with what it held", async (t) => {
  const { hub, registries, cache } = await setUp(t);
  await pullAll(cache.url);
  await cache.stop();
  const without = await startCache(t, [registries.dockerhub], { dataDir: cache.dataDir });
  assert.deepEqual(await json(`${without.url}/summary`), { summary: { dockerhub: 3, total: 3 } });
  const { registries: shown } = (await json(`${without.url}/`)) as { registries: Record<string, { url: string }> };
  assert.deepEqual(Object.keys(shown), ["dockerhub"]);
  assert.equal(shown["dockerhub"]?.url, hub.url);
  await without.stop();
  const again = await startCache(t, [registries.ghcr, registries.dockerhub], { dataDir: cache.dataDir });
  assert.deepEqual(await json(`${again.url}/summary`), { summary: { ghcr: 1, dockerhub: 3, total: 4 } });
});

test("HEAD has the headers of GET and no body; a query changes nothing", async (t) => {
  const { cache } = await setUp(t);
  for (const path of ["/", "/summary", "/healthz", "/readyz"]) {
    const got = await ask(`${cache.url}${path}?x=1`);
    const head = await ask(`${cache.url}${path}`, { method: "HEAD" });
    assert.deepEqual([got.status, head.status, head.body.length], [200, 200, 0], path);
    for (const name of ["content-type", "content-length", "cache-control", "x-content-type-options"]) {
      assert.notEqual(got.headers[name], undefined, name);
      assert.equal(head.headers[name], got.headers[name], name);
    }
  }
});

test("/healthz and /readyz say that it lives and takes requests, also while every upstream is down", async (t) => {
  const { hub, ghcr, cache } = await setUp(t);
  await Promise.all([hub.stop(), ghcr.stop()]);
  assert.deepEqual(await json(`${cache.url}/healthz`), { status: "ok" });
  assert.deepEqual(await json(`${cache.url}/readyz`), { status: "ready" });
});
