import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, errorCode } from "./support/client.ts";
import { startCache, testRegistry } from "./support/cache.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import { seededBytes, sha256 } from "./support/bytes.ts";

const ALWAYS = [{ match: "*", revalidate: { kind: "always" } }] as const;
const MANIFEST = { method: "GET", path: "/manifests/" };

async function setUp(t: Parameters<typeof startCache>[0], differs: Parameters<typeof testRegistry>[1] = {}) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream[Symbol.asyncDispose]());
  const image = upstream.addImage("library/app", "1");
  const cache = await startCache(t, [testRegistry(upstream.url, differs)]);
  const url = `${cache.url}/v2/library/app/manifests/1`;
  return { upstream, image, cache, url };
}

test("a tag is fetched once and served from memory while it is fresh, byte for byte", async (t) => {
  const { upstream, image, url } = await setUp(t);
  const first = await ask(url);
  assert.equal(first.status, 200);
  assert.equal(first.headers["docker-content-digest"], image.digest);
  assert.equal(sha256(first.body), image.digest);
  assert.equal(first.headers["cache-status"], "registry-cache; fwd=miss; stored");
  const second = await ask(url);
  assert.deepEqual(second.body, first.body);
  assert.match(String(second.headers["cache-status"]), /^registry-cache; hit; ttl=\d+$/);
  assert.equal(second.headers["age"], "0");
  assert.equal(upstream.count({ path: "/manifests/" }), 1);
});

test("a manifest is served with the type it was pushed with, without parameters, on GET and HEAD", async (t) => {
  const { upstream, cache } = await setUp(t);
  const index = upstream.addIndex("library/multi", "1", ["linux/amd64", "linux/arm64/v8"]);
  const got = await ask(`${cache.url}/v2/library/multi/manifests/1`);
  const head = await ask(`${cache.url}/v2/library/multi/manifests/1`, { method: "HEAD" });
  for (const answer of [got, head]) {
    assert.equal(answer.headers["content-type"], "application/vnd.oci.image.index.v1+json");
    assert.equal(answer.headers["docker-content-digest"], index.digest);
    assert.equal(answer.headers["content-length"], String(got.body.length));
    assert.equal(answer.headers["etag"], `"${index.digest}"`);
    assert.equal(answer.headers["docker-distribution-api-version"], "registry/2.0");
    assert.equal(answer.headers["transfer-encoding"], undefined);
    assert.equal(answer.headers["content-encoding"], undefined);
  }
  assert.equal(head.body.length, 0);
});

test("a digest that is held never asks upstream again", async (t) => {
  const { upstream, image, cache, url } = await setUp(t);
  await ask(url);
  await upstream.stop();
  const answer = await ask(`${cache.url}/v2/library/app/manifests/${image.digest}`);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["cache-status"], "registry-cache; hit");
});

test("a tag that must be revalidated costs one HEAD, and a GET by digest only when it has moved", async (t) => {
  const { upstream, url } = await setUp(t, { tags: ALWAYS });
  await ask(url);
  const confirmed = await ask(url);
  assert.equal(confirmed.headers["cache-status"], "registry-cache; hit; detail=revalidated");
  assert.equal(upstream.count({ method: "HEAD", path: "/manifests/1" }), 1);
  assert.equal(upstream.count(MANIFEST), 1);
  const moved = upstream.addImage("library/app", "1", { seed: 2 });
  const after = await ask(url);
  assert.equal(after.headers["docker-content-digest"], moved.digest);
  assert.equal(upstream.count({ method: "GET", path: `/manifests/${moved.digest}` }), 1);
  assert.equal(upstream.count({ method: "GET", path: "/manifests/1" }), 1);
});

test("a missing digest header on HEAD is answered by hashing the body", async (t) => {
  const { upstream, url } = await setUp(t, { tags: ALWAYS });
  upstream.script({ path: "/manifests/" }, { kind: "headers", remove: ["docker-content-digest"], times: Infinity });
  await ask(url);
  const again = await ask(url);
  assert.equal(again.headers["cache-status"], "registry-cache; hit; detail=revalidated");
});

test("tag rules choose by pattern: never, offline and the first match", async (t) => {
  const { upstream, cache } = await setUp(t, {
    tags: [
      { match: "v*", revalidate: { kind: "never" } },
      { match: "off-*", revalidate: { kind: "offline" } },
      { match: "*", revalidate: { kind: "always" } },
    ],
  });
  upstream.addImage("library/app", "v1");
  upstream.addImage("library/app", "off-1");
  await ask(`${cache.url}/v2/library/app/manifests/v1`);
  upstream.addImage("library/app", "v1", { seed: 9 });
  await ask(`${cache.url}/v2/library/app/manifests/v1`);
  assert.equal(upstream.count({ path: "/manifests/v1" }), 1, "an immutable tag is asked for once");
  const offline = await ask(`${cache.url}/v2/library/app/manifests/off-1`);
  assert.equal(offline.status, 404);
  assert.equal(errorCode(offline), "MANIFEST_UNKNOWN");
  assert.equal(upstream.count({ path: "off-1" }), 0, "an offline tag is never asked for");
});

for (const [name, fault, reason] of [
  ["500", { kind: "status", status: 500 }, "server-error"],
  ["503", { kind: "status", status: 503 }, "server-error"],
  ["429", { kind: "status", status: 429, headers: { "Retry-After": "30" } }, "rate-limited"],
  ["a dropped connection", { kind: "drop" }, "unreachable"],
  ["an answer that never comes", { kind: "hang" }, "slow"],
  ["a 404 for a tag that we hold", { kind: "status", status: 404 }, "not-found"],
  ["a 403 for content that was fetched anonymously", { kind: "status", status: 403 }, "forbidden"],
] as const) {
  test(`stale: ${name} upstream serves what is held and says so`, async (t) => {
    const { upstream, image, url } = await setUp(t, { tags: ALWAYS });
    await ask(url);
    upstream.script({ role: "registry" }, { ...fault, times: Infinity });
    const answer = await ask(url);
    assert.equal(answer.status, 200);
    assert.equal(sha256(answer.body), image.digest);
    assert.equal(answer.headers["cache-status"], `registry-cache; hit; detail=stale-${reason}`);
    assert.match(String(answer.headers["warning"]), /^299 - ".+"$/);
    assert.match(String(answer.headers["age"]), /^\d+$/);
  });
}

test("stale: a stopped upstream serves what is held, also after a restart of the cache", async (t) => {
  const { upstream, image, cache } = await setUp(t, { tags: ALWAYS });
  await ask(`${cache.url}/v2/library/app/manifests/1`);
  await upstream.stop();
  const again = await cache.restart();
  const answer = await ask(`${again.url}/v2/library/app/manifests/1`);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["docker-content-digest"], image.digest);
});

test("freshness survives a restart: a confirmed tag is not asked for again", async (t) => {
  const { upstream, cache } = await setUp(t);
  await ask(`${cache.url}/v2/library/app/manifests/1`);
  const again = await cache.restart();
  const answer = await ask(`${again.url}/v2/library/app/manifests/1`);
  assert.match(String(answer.headers["cache-status"]), /^registry-cache; hit; ttl=/);
  assert.equal(upstream.count({ path: "/manifests/" }), 1);
});

test("when_deleted: deny passes upstream's 404 on, and deletes nothing", async (t) => {
  const { upstream, image, cache, url } = await setUp(t, { tags: ALWAYS, whenDeleted: "deny" });
  await ask(url);
  upstream.deleteTag("library/app", "1");
  const denied = await ask(url);
  assert.equal(denied.status, 404);
  assert.equal(errorCode(denied), "MANIFEST_UNKNOWN");
  assert.equal((await ask(`${cache.url}/v2/library/app/manifests/${image.digest}`)).status, 200);
});

test("401 and 403 deny content that was fetched with credentials", async (t) => {
  const upstream = await startFakeUpstream({
    auth: "bearer",
    users: { me: "secret" },
    privateRepositories: ["team/app"],
  });
  t.after(async () => await upstream[Symbol.asyncDispose]());
  upstream.addImage("team/app", "1");
  const credentials = { kind: "basic", username: "me", password: "secret" } as const;
  const cache = await startCache(t, [testRegistry(upstream.url, { tags: ALWAYS, credentials })]);
  assert.equal((await ask(`${cache.url}/v2/team/app/manifests/1`)).status, 200);
  upstream.script({ role: "registry", authorized: true }, { kind: "status", status: 403, times: Infinity });
  const denied = await ask(`${cache.url}/v2/team/app/manifests/1`);
  assert.equal(denied.status, 403);
  assert.equal(errorCode(denied), "DENIED");
});

test("errors of a tag that is not held say what upstream did", async (t) => {
  const { upstream, cache } = await setUp(t);
  const askFor = async (tag: string) => await ask(`${cache.url}/v2/library/app/manifests/${tag}`);
  const missing = await askFor("missing");
  assert.deepEqual([missing.status, errorCode(missing)], [404, "MANIFEST_UNKNOWN"]);
  upstream.script({ path: "limited" }, { kind: "status", status: 429, headers: { "Retry-After": "7" } });
  const limited = await askFor("limited");
  assert.deepEqual([limited.status, errorCode(limited), limited.headers["retry-after"]], [429, "TOOMANYREQUESTS", "7"]);
});

test("negative answers are remembered for seconds: a loop of retries reaches upstream once", async (t) => {
  const { upstream, cache } = await setUp(t);
  for (let time = 0; time < 5; time++) await ask(`${cache.url}/v2/library/app/manifests/missing`);
  assert.equal(upstream.count({ path: "missing" }), 1);
});

test("a breaker stops asking an upstream that fails again and again", async (t) => {
  const { upstream, url } = await setUp(t, { tags: ALWAYS });
  await ask(url);
  upstream.script({ role: "registry" }, { kind: "status", status: 500, times: Infinity });
  for (let time = 0; time < 30; time++) assert.equal((await ask(url)).status, 200);
  const asked = upstream.count({ method: "HEAD" });
  assert.ok(asked < 10, `asked ${asked} times`);
  assert.match(String((await ask(url)).headers["cache-status"]), /stale-unavailable/);
});

test("50 clients that ask for the same tag at once cause one question", async (t) => {
  const { upstream, cache } = await setUp(t);
  let letGo = () => {};
  const held = new Promise<void>((resolve) => (letGo = resolve));
  upstream.script({ path: "/manifests/1" }, { kind: "hold", atByte: 0, until: held });
  const asking = Array.from({ length: 50 }, () => ask(`${cache.url}/v2/library/app/manifests/1`));
  await upstream.until(() => upstream.count({ path: "/manifests/1" }) === 1);
  letGo();
  const answers = await Promise.all(asking);
  assert.ok(answers.every((answer) => answer.status === 200));
  assert.equal(upstream.count({ path: "/manifests/1" }), 1);
  assert.ok(answers.some((answer) => String(answer.headers["cache-status"]).includes("collapsed")));
});

test("If-None-Match is answered with 304", async (t) => {
  const { image, url } = await setUp(t);
  const answer = await ask(url, { headers: { "If-None-Match": `"${image.digest}"` } });
  assert.equal(answer.status, 304);
  assert.equal(answer.body.length, 0);
  assert.equal(answer.headers["etag"], `"${image.digest}"`);
});

test("a manifest answers Range with 206, as containerd 2.1 asks", async (t) => {
  const { url } = await setUp(t);
  const whole = await ask(url);
  const open = await ask(url, { headers: { Range: "bytes=0-" } });
  assert.equal(open.status, 206);
  assert.deepEqual(open.body, whole.body);
  const part = await ask(url, { headers: { Range: "bytes=10-19" } });
  assert.deepEqual(part.body, whole.body.subarray(10, 20));
  assert.equal(part.headers["content-range"], `bytes 10-19/${whole.body.length}`);
});

test("an HTML page sent with 200 is neither served nor kept", async (t) => {
  const { upstream, image, url } = await setUp(t);
  upstream.script({ path: "/manifests/1" }, { kind: "html" });
  const answer = await ask(url);
  assert.equal(answer.status, 502);
  assert.equal(errorCode(answer), "UNAVAILABLE");
  const after = await ask(url);
  assert.equal(after.headers["docker-content-digest"], image.digest);
});

test("a corrupt manifest is neither served nor kept", async (t) => {
  const { upstream, image, cache } = await setUp(t);
  upstream.script({ path: image.digest }, { kind: "corrupt", atByte: 30 });
  const url = `${cache.url}/v2/library/app/manifests/${image.digest}`;
  assert.equal((await ask(url)).status, 502);
  assert.equal(sha256((await ask(url)).body), image.digest);
});

test("unusual manifests keep their bytes: odd spacing, unknown fields, 4 MB of annotations", async (t) => {
  const { upstream, cache } = await setUp(t);
  const config = upstream.addBlob("library/odd", seededBytes(100, 5));
  const annotation = "x".repeat(4_000_000);
  const bytes = Buffer.from(
    `{ "schemaVersion" : 2,\n\t"mediaType":"application/vnd.oci.image.manifest.v1+json","x-own":[1, 2 ],` +
      `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"${config}","size":100},"layers":[],` +
      `"annotations":{"big":"${annotation}"}}\n\n`,
  );
  const digest = upstream.addManifest("library/odd", bytes, { tag: "1" });
  const answer = await ask(`${cache.url}/v2/library/odd/manifests/1`);
  assert.equal(answer.headers["docker-content-digest"], digest);
  assert.ok(answer.body.equals(bytes));
});
