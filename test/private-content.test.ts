import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import type { RegistryConfig } from "../src/config/config.ts";
import { startCache, testRegistry } from "./support/cache.ts";
import { ask, errorCode } from "./support/client.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import { tempDir } from "./support/temp.ts";

const CREDENTIALS = { kind: "basic", username: "me", password: "secret" } as const;
const [OPEN, HIDDEN] = ["library/open", "org/hidden"];

async function setUp(t: TestContext, differs: Partial<RegistryConfig> = {}) {
  const upstream = await startFakeUpstream({
    auth: "bearer",
    users: { me: "secret" },
    privateRepositories: [HIDDEN, "org/team/deep"],
  });
  t.after(async () => await upstream.stop());
  const images = {
    open: upstream.addImage(OPEN, "1", { seed: 1 }),
    hidden: upstream.addImage(HIDDEN, "1", { seed: 2 }),
  };
  upstream.addImage("org/team/deep", "1", { seed: 3 });
  const dataDir = await tempDir(t);
  const start = async (now: Partial<RegistryConfig> = {}) => {
    const registry = testRegistry(upstream.url, {
      credentials: CREDENTIALS,
      sharedRepositories: [],
      ...differs,
      ...now,
    });
    return await startCache(t, [registry], { dataDir });
  };
  return { upstream, ...images, start, cache: await start() };
}

test("credentials that the upstream refuses are told of, to the operator and to clients", async (t) => {
  const lines: string[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(line) });
  const { upstream } = await setUp(t);
  const credentials = { ...CREDENTIALS, password: "changed" };
  const cache = await startCache(t, [testRegistry(upstream.url, { credentials })], { dataDir: await tempDir(t), log });
  for (const path of [`${OPEN}/manifests/1`, `${OPEN}/tags/list`]) {
    const refused = await ask(`${cache.url}/v2/${path}`);
    assert.deepEqual([refused.status, errorCode(refused)], [403, "DENIED"], path);
    assert.match(refused.body.toString(), /"this cache's credentials were refused upstream: GET /);
  }
  assert.equal(lines.length, 1, lines.join(""));
  assert.match(lines.join(""), /"registry":"dockerhub".*"msg":"the configured credentials were refused"/);
  assert.doesNotMatch(lines.join(""), /changed/);
});

test("credentials are used for what everybody may have, and open nothing else", async (t) => {
  const { upstream, open, hidden, cache } = await setUp(t);
  const get = async (path: string) => await ask(`${cache.url}/v2/${path}`);
  assert.equal((await get(`${OPEN}/manifests/1`)).status, 200);
  for (const { digest, bytes } of open.layers) assert.ok((await get(`${OPEN}/blobs/${digest}`)).body.equals(bytes));
  // For the quota: the question itself carries a token of the user's.
  assert.ok(upstream.count({ role: "token", authorized: true }) > 0);
  for (const path of [
    `${HIDDEN}/manifests/1`,
    `${HIDDEN}/manifests/${hidden.digest}`,
    `${HIDDEN}/blobs/${hidden.layers[0]?.digest}`,
    `${HIDDEN}/tags/list`,
    `${HIDDEN}/referrers/${hidden.digest}`,
  ]) {
    const refused = await get(path);
    assert.deepEqual([refused.status, errorCode(refused)], [403, "DENIED"], path);
    assert.ok(!refused.body.includes(hidden.digest.slice("sha256:".length, -1)) || path.includes(hidden.digest));
  }
  assert.equal(
    (await ask(`${cache.url}/v2/${HIDDEN}/blobs/${hidden.layers[0]?.digest}`, { method: "HEAD" })).status,
    403,
  );
  assert.equal(upstream.count({ method: "GET", path: `${HIDDEN}/manifests/` }), 0);
  assert.equal(upstream.count({ method: "GET", path: `${HIDDEN}/blobs/` }), 0);
});

test("whether a repository is public is asked once, however much of it is pulled", async (t) => {
  const { upstream, open, cache } = await setUp(t);
  await Promise.all(
    [...open.layers, open.config].map(async ({ digest }) => await ask(`${cache.url}/v2/${OPEN}/blobs/${digest}`)),
  );
  await ask(`${cache.url}/v2/${OPEN}/manifests/1`);
  const asked = upstream.requests.filter(({ path, status }) => path.includes("/tags/list?n=1") && status === 200);
  assert.equal(asked.length, 1);
});

test("what is public stays so while upstream is away; whether it is cannot be found out then", async (t) => {
  const { upstream, cache, open } = await setUp(t);
  await ask(`${cache.url}/v2/${OPEN}/manifests/1`);
  await cache.stop();
  await upstream.stop();
  const { url: again } = await setUpAgain(t, cache.dataDir, upstream.url);
  assert.equal((await ask(`${again}/v2/${OPEN}/manifests/${open.digest}`)).status, 200);
  assert.equal((await ask(`${again}/v2/${OPEN}/manifests/1`)).status, 200);
  assert.equal((await ask(`${again}/v2/library/other/manifests/1`)).status, 502);
});

async function setUpAgain(t: TestContext, dataDir: string, url: string) {
  const registry = testRegistry(url, { credentials: CREDENTIALS, sharedRepositories: [] });
  return await startCache(t, [registry], { dataDir });
}

test("what is shared is given out, by its own list alone", async (t) => {
  const { hidden, cache } = await setUp(t, { sharedRepositories: ["org/*"] });
  const get = async (path: string) => (await ask(`${cache.url}/v2/${path}`)).status;
  assert.equal(await get(`${HIDDEN}/manifests/1`), 200);
  for (const { digest } of hidden.layers) assert.equal(await get(`${HIDDEN}/blobs/${digest}`), 200);
  assert.equal(await get("org/team/deep/manifests/1"), 403);
  // What one repository shares is no proof for another.
  assert.equal(await get(`${OPEN}/blobs/${hidden.layers[0]?.digest}`), 404);
});

test("what is no longer shared, or was fetched with credentials that are gone, is no longer given out", async (t) => {
  const { hidden, cache, start, upstream } = await setUp(t, { sharedRepositories: ["org/*"] });
  const paths = [
    `${HIDDEN}/manifests/1`,
    `${HIDDEN}/manifests/${hidden.digest}`,
    `${HIDDEN}/blobs/${hidden.layers[0]?.digest}`,
  ];
  const statuses = async (url: string) =>
    await Promise.all(paths.map(async (path) => (await ask(`${url}/v2/${path}`)).status));
  assert.deepEqual(await statuses(cache.url), [200, 200, 200]);
  await cache.app.idle();
  await cache.stop();
  const unshared = await start({ sharedRepositories: [] });
  assert.deepEqual(await statuses(unshared.url), [403, 403, 403]);
  await unshared.stop();
  const anonymous = await start({ credentials: undefined, sharedRepositories: [] });
  assert.deepEqual(await statuses(anonymous.url), [403, 403, 403]);
  await anonymous.stop();
  await upstream.stop();
  const away = await start({ sharedRepositories: [] });
  for (const status of await statuses(away.url)) assert.notEqual(status, 200);
  await away.stop();
  const shared = await start();
  assert.deepEqual(await statuses(shared.url), [200, 200, 200]);
});

test("a manifest that names what only credentials open gets no link to it", async (t) => {
  const { upstream, hidden, cache, start } = await setUp(t, { sharedRepositories: ["org/*"] });
  const status = async (path: string) => (await ask(`${cache.url}/v2/${path}`)).status;
  assert.equal(await status(`${HIDDEN}/manifests/1`), 200);
  for (const { digest } of hidden.layers) assert.equal(await status(`${HIDDEN}/blobs/${digest}`), 200);
  // Anybody may push a manifest that names anything.
  const naming = upstream.addImage(OPEN, "naming", { seed: 2 });
  assert.deepEqual(naming.layers, hidden.layers);
  for (const { digest } of naming.layers) upstream.deleteContent(OPEN, digest);
  assert.equal(await status(`${OPEN}/manifests/naming`), 200);
  await cache.app.idle();
  for (const { digest } of naming.layers) assert.equal(await status(`${OPEN}/blobs/${digest}`), 404);
  // Links are what a new process goes by.
  await cache.stop();
  const later = await start();
  for (const { digest } of naming.layers)
    assert.equal((await ask(`${later.url}/v2/${OPEN}/blobs/${digest}`)).status, 404);
});
