import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { AccessRule } from "../src/config/config.ts";
import { OCI_MANIFEST } from "../src/oci/media-types.ts";
import { OPEN_ACCESS, startCache, testRegistry } from "./support/cache.ts";
import { ask } from "./support/client.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";

const DAY_MS = 24 * 60 * 60_000;
const OCI_EMPTY = "application/vnd.oci.empty.v1+json";
const RULE: AccessRule = {
  who: "*",
  registry: undefined,
  repository: "*",
  tag: "*",
  allow: true,
  minAgeMs: 3 * DAY_MS,
};

/** A cache with such rules whose clock is the test's; `pass` goes on to a day after its start. */
async function setUp(
  t: TestContext,
  rules: readonly AccessRule[] = [RULE],
  registry: Parameters<typeof testRegistry>[1] = {},
) {
  const startMs = Date.now();
  t.mock.timers.enable({ apis: ["Date"], now: startMs });
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const cache = await startCache(t, [testRegistry(upstream.url, registry)], {
    config: { access: { ...OPEN_ACCESS, rules } },
  });
  const get = async (path: string) => await ask(`${cache.url}/v2/library/app/${path}`);
  const status = async (path: string) => (await get(path)).status;
  const onDay = (day: number) => t.mock.timers.setTime(startMs + day * DAY_MS);
  return { upstream, cache, get, status, onDay };
}

test("what is new is given out once it has been known for so long, by tag and by digest", async (t) => {
  const { upstream, get, status, onDay } = await setUp(t);
  const image = upstream.addImage("library/app", "1");
  const refused = await get("manifests/1");
  assert.equal(refused.status, 403);
  assert.match(refused.body.toString(), /too new for rule 1 of this cache: first seen here at .*, given out from /);
  const paths = [image.digest, "1"].map((one) => `manifests/${one}`);
  paths.push(...image.layers.map(({ digest }) => `blobs/${digest}`));
  for (const path of paths) assert.equal(await status(path), 403, path);
  onDay(2.9);
  for (const path of paths) assert.equal(await status(path), 403, path);
  onDay(3);
  for (const path of paths) assert.equal(await status(path), 200, path);
});

test("a tag that has moved stays where it was, until the new one is old enough", async (t) => {
  const { upstream, get, status, onDay } = await setUp(t);
  const first = upstream.addImage("library/app", "1", { seed: 1 });
  assert.equal(await status("manifests/1"), 403);
  onDay(4);
  assert.equal(await status("manifests/1"), 200);
  const second = upstream.addImage("library/app", "1", { seed: 2 });
  onDay(5);
  const answer = await get("manifests/1");
  assert.deepEqual([answer.status, answer.headers["docker-content-digest"]], [200, first.digest]);
  assert.equal(answer.headers["cache-status"], "registry-cache; hit; detail=quarantined");
  assert.match(
    String(answer.headers["warning"]),
    new RegExp(`pointed to before: ${second.digest} is too new for rule 1`),
  );
  assert.equal(await status(`manifests/${second.digest}`), 403);
  for (const { digest } of second.layers) assert.equal(await status(`blobs/${digest}`), 403);
  onDay(8);
  assert.equal((await get("manifests/1")).headers["docker-content-digest"], second.digest);
});

test("what was replaced before it was old enough is never given out by its tag", async (t) => {
  const { upstream, get, status, onDay } = await setUp(t);
  const good = upstream.addImage("library/app", "1", { seed: 1 });
  await status("manifests/1");
  onDay(3);
  assert.equal(await status("manifests/1"), 200);
  onDay(4);
  const bad = upstream.addImage("library/app", "1", { seed: 2 });
  await status("manifests/1");
  onDay(5);
  const mended = upstream.addImage("library/app", "1", { seed: 3 });
  const shown = async () => (await get("manifests/1")).headers["docker-content-digest"];
  for (const [day, digest] of [
    [5, good.digest],
    [7.5, good.digest],
    [8, mended.digest],
  ] as const) {
    onDay(day);
    assert.equal(await shown(), digest, `on day ${day}`);
  }
  assert.notEqual(bad.digest, mended.digest);
});

test("what was replaced while nobody asked is not given out by its tag: nobody knows how long it stayed", async (t) => {
  const { upstream, get, status, onDay } = await setUp(t);
  upstream.addImage("library/app", "1", { seed: "bad" });
  assert.equal(await status("manifests/1"), 403);
  onDay(0.04);
  const mended = upstream.addImage("library/app", "1", { seed: "mended" });
  onDay(4);
  assert.equal(await status("manifests/1"), 403);
  onDay(7);
  assert.equal((await get("manifests/1")).headers["docker-content-digest"], mended.digest);
});

test("what upstream took back before it was old enough is not given out by its tag, however old it grows", async (t) => {
  const { upstream, get, status, onDay } = await setUp(t);
  const bad = upstream.addImage("library/app", "1", { seed: "bad" });
  assert.equal(await status("manifests/1"), 403);
  onDay(0.04);
  upstream.deleteContent("library/app", bad.digest);
  for (const day of [1, 4, 40]) {
    onDay(day);
    assert.equal(await status("manifests/1"), 403, `on day ${day}`);
  }
  assert.match((await get("manifests/1")).body.toString(), /upstream has not said since .* that the tag still points/);
});

test("what upstream took back after it was old enough is given out further", async (t) => {
  const { upstream, status, onDay } = await setUp(t);
  const image = upstream.addImage("library/app", "1");
  await status("manifests/1");
  onDay(3);
  assert.equal(await status("manifests/1"), 200);
  upstream.deleteContent("library/app", image.digest);
  onDay(4);
  assert.equal(await status("manifests/1"), 200);
});

test("who pulls once a week gets what upstream has still", async (t) => {
  const { upstream, get, status, onDay } = await setUp(t);
  const image = upstream.addImage("library/app", "1");
  assert.equal(await status("manifests/1"), 403);
  onDay(7);
  assert.equal((await get("manifests/1")).headers["docker-content-digest"], image.digest);
});

test("while upstream is away what it confirmed when it was old enough is given out, and nothing else", async (t) => {
  const { upstream, status, onDay } = await setUp(t);
  for (const tag of ["1", "2"]) {
    upstream.addImage("library/app", tag, { seed: tag });
    assert.equal(await status(`manifests/${tag}`), 403);
  }
  onDay(3);
  assert.equal(await status("manifests/1"), 200);
  await upstream.stop();
  onDay(4);
  assert.deepEqual([await status("manifests/1"), await status("manifests/2")], [200, 403]);
});

test("a tag that is never asked for again is asked for once when it is old enough; an offline one stays refused", async (t) => {
  const tags = [
    { match: "offline", revalidate: { kind: "offline" } },
    { match: "*", revalidate: { kind: "never" } },
  ] as const;
  const { upstream, status, onDay } = await setUp(t, [RULE], { tags });
  const asked = () => upstream.count({ path: "/manifests/1" });
  upstream.addImage("library/app", "1");
  assert.equal(await status("manifests/1"), 403);
  onDay(2);
  assert.equal(await status("manifests/1"), 403);
  assert.equal(asked(), 1);
  onDay(3);
  for (const _ of [1, 2]) assert.equal(await status("manifests/1"), 200);
  assert.equal(asked(), 2);
  assert.equal(await status("manifests/offline"), 404);
});

test("a manifest is not as old as an artifact that has its digest for a layer", async (t) => {
  const { upstream, get, status, onDay } = await setUp(t);
  const elsewhere = await startFakeUpstream();
  t.after(async () => await elsewhere.stop());
  const evil = elsewhere.addImage("library/app", "1", { seed: "evil" });
  const config = { mediaType: OCI_EMPTY, digest: upstream.addBlob("library/app", Buffer.from("{}")), size: 2 };
  const layers = [{ mediaType: "application/octet-stream", digest: evil.digest, size: evil.size }];
  const note = { schemaVersion: 2, mediaType: OCI_MANIFEST, artifactType: "application/x-note", config, layers };
  upstream.addManifest("library/app", note, { tag: "note" });
  const good = upstream.addImage("library/app", "1", { seed: "good" });
  for (const tag of ["note", "1"]) assert.equal(await status(`manifests/${tag}`), 403);
  onDay(30);
  assert.equal((await get("manifests/1")).headers["docker-content-digest"], good.digest);
  assert.equal(upstream.addImage("library/app", "1", { seed: "evil" }).digest, evil.digest);
  onDay(30.01);
  assert.equal((await get("manifests/1")).headers["docker-content-digest"], good.digest);
  for (const { digest } of evil.layers) assert.equal(await status(`blobs/${digest}`), 403);
});

test("the parts of an index are as old as the index", async (t) => {
  const { upstream, status, onDay } = await setUp(t);
  const index = upstream.addIndex("library/app", "1", ["amd64", "arm64"]);
  assert.equal(await status("manifests/1"), 403);
  onDay(3);
  assert.equal(await status("manifests/1"), 200);
  for (const child of index.images) {
    assert.equal(await status(`manifests/${child.digest}`), 200);
    for (const { digest } of child.layers) assert.equal(await status(`blobs/${digest}`), 200);
  }
});

test("a blob of which nothing is known is too new, and is not fetched", async (t) => {
  const { upstream, status } = await setUp(t);
  const image = upstream.addImage("library/app", "1");
  for (const { digest } of image.layers) assert.equal(await status(`blobs/${digest}`), 403);
  assert.deepEqual(upstream.requests, []);
});

test("it is for those and for what the rule names, and a new digest is not had as no tag's", async (t) => {
  const { upstream, status } = await setUp(t, [
    { ...RULE, tag: "latest" },
    { ...RULE, repository: "other/*" },
  ]);
  const image = upstream.addImage("library/app", "latest", { seed: 1 });
  upstream.addImage("library/app", "1.27", { seed: 2 });
  assert.equal(await status(`manifests/${image.digest}`), 403);
  assert.equal(await status("manifests/latest"), 403);
  assert.equal(await status("manifests/1.27"), 200);
});
