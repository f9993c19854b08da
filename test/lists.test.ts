import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { Digest } from "../src/oci/digest.ts";
import { seededBytes, sha256 } from "./support/bytes.ts";
import { startCache, type TestCache, testRegistry } from "./support/cache.ts";
import { type Answer, ask, errorCode } from "./support/client.ts";
import { type FakeUpstream, type FakeUpstreamOptions, startFakeUpstream } from "./support/fake-upstream.ts";

const INDEX = "application/vnd.oci.image.index.v1+json";
const TAGS = { path: "/tags/list" } as const;
const UPSTREAM_TAGS = ["1", "10", "2", "A", "_x", "a", "b"];

async function setUp(
  t: TestContext,
  options: FakeUpstreamOptions = {},
): Promise<{ upstream: FakeUpstream; cache: TestCache }> {
  const upstream = await startFakeUpstream(options);
  t.after(async () => await upstream[Symbol.asyncDispose]());
  const hub = testRegistry(upstream.url);
  const ghcr = testRegistry(upstream.url, {
    id: "ghcr",
    serves: "ghcr.io",
    aliases: [],
    anonymous: undefined,
    libraryPrefix: false,
    hostnames: ["ghcr.cache.test"],
  });
  return { upstream, cache: await startCache(t, [hub, ghcr]) };
}

function withTags(upstream: FakeUpstream, name = "library/app"): Digest {
  const { digest } = upstream.addImage(name, "1");
  for (const tag of UPSTREAM_TAGS.toReversed()) upstream.setTag(name, tag, digest);
  return digest;
}

function json(answer: Answer): unknown {
  assert.equal(answer.status, 200, answer.body.toString());
  return JSON.parse(answer.body.toString());
}

const tagsOf = (answer: Answer) => (json(answer) as { tags: string[] }).tags;
const reposOf = (answer: Answer) => (json(answer) as { repositories: string[] }).repositories;

/** The next page's path, as the Link header has it. */
function next(answer: Answer): string | undefined {
  const { link } = answer.headers;
  if (link === undefined) return undefined;
  const path = /^<(\/[^>]+)>; rel="next"$/.exec(String(link))?.[1];
  assert.ok(path !== undefined, String(link));
  return path;
}

test("tags: upstream's, all pages of them, in lexical order", async (t) => {
  for (const absoluteLinks of [false, true]) {
    const { upstream, cache } = await setUp(t, { tagsPageMax: 2, absoluteLinks });
    withTags(upstream);
    const answer = await ask(`${cache.url}/v2/library/app/tags/list`);
    assert.deepEqual(json(answer), { name: "library/app", tags: UPSTREAM_TAGS });
    assert.equal(next(answer), undefined);
    assert.match(String(answer.headers["content-type"]), /^application\/json/);
  }
});

test("tags: n and last, exclusive, with n=0 and beyond the end", async (t) => {
  const { upstream, cache } = await setUp(t);
  withTags(upstream);
  const page = async (query: string) => await ask(`${cache.url}/v2/library/app/tags/list?${query}`);
  for (const [query, expected, more] of [
    ["n=3", ["1", "10", "2"], true],
    ["n=3&last=2", ["A", "_x", "a"], true],
    ["n=7", UPSTREAM_TAGS, false],
    ["n=3&last=_x", ["a", "b"], false],
    ["last=A", ["_x", "a", "b"], false],
    ["last=11", ["2", "A", "_x", "a", "b"], false],
    ["n=0", [], false],
    ["n=5&last=b", [], false],
  ] as const) {
    const answer = await page(query);
    assert.deepEqual(tagsOf(answer), expected, query);
    assert.equal(next(answer) !== undefined, more, query);
  }
  for (const bad of ["n=-1", "n=x", "n=1.5"]) {
    const answer = await page(bad);
    assert.deepEqual([answer.status, errorCode(answer)], [400, "PAGINATION_NUMBER_INVALID"], bad);
  }
});

for (const [shape, path, headers] of [
  ["plain", "/v2/ghcr.io/library/app/tags/list?n=2", {}],
  ["prefix before v2", "/ghcr.io/v2/library/app/tags/list?n=2", {}],
  ["ns", "/v2/library/app/tags/list?ns=ghcr.io&n=2", {}],
  ["host", "/v2/library/app/tags/list?n=2", { Host: "ghcr.cache.test" }],
  ["default registry, library left out", "/v2/app/tags/list?n=2", {}],
] as const) {
  test(`tags: Link leads to every next page in the client's own shape (${shape})`, async (t) => {
    const { upstream, cache } = await setUp(t);
    withTags(upstream);
    const all: string[] = [];
    let at: string | undefined = path;
    while (at !== undefined) {
      const answer: Answer = await ask(cache.url + at, { headers });
      all.push(...tagsOf(answer));
      at = next(answer);
      assert.ok(all.length <= UPSTREAM_TAGS.length);
    }
    assert.deepEqual(all, UPSTREAM_TAGS);
  });
}

test("tags: asked for once a minute, whoever asks; after a restart and without upstream they are still there", async (t) => {
  const { upstream, cache } = await setUp(t);
  withTags(upstream);
  const first = await ask(`${cache.url}/v2/library/app/tags/list`);
  assert.equal(first.headers["cache-status"], "registry-cache; fwd=miss; stored");
  assert.match(
    String((await ask(`${cache.url}/v2/app/tags/list?n=1`)).headers["cache-status"]),
    /^registry-cache; hit/,
  );
  assert.equal(upstream.count(TAGS), 1);
  await upstream.stop();
  const again = await cache.restart();
  assert.deepEqual(tagsOf(await ask(`${again.url}/v2/library/app/tags/list`)), UPSTREAM_TAGS);
});

test("tags: after a minute upstream is asked again, and what is remembered serves while it is away", async (t) => {
  const { upstream, cache } = await setUp(t);
  withTags(upstream);
  const url = `${cache.url}/v2/library/app/tags/list`;
  await ask(url);
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() + 61_000 });
  upstream.deleteTag("library/app", "b");
  assert.equal(tagsOf(await ask(url)).includes("b"), false);
  assert.equal(upstream.count(TAGS), 2);
  await upstream.stop();
  t.mock.timers.tick(61_000);
  const stale = await ask(url);
  assert.equal(tagsOf(stale).includes("a"), true);
  assert.equal(stale.headers["cache-status"], "registry-cache; hit; detail=stale-unreachable");
  assert.match(String(stale.headers["warning"]), /^299 - ".+"$/);
  assert.equal(stale.headers["age"], "61");
});

test("tags: what is held is never mixed in, and what upstream lists is not taken for held", async (t) => {
  const { upstream, cache } = await setUp(t);
  withTags(upstream);
  await ask(`${cache.url}/v2/library/app/manifests/a`);
  upstream.deleteTag("library/app", "a");
  assert.deepEqual(
    tagsOf(await ask(`${cache.url}/v2/library/app/tags/list`)),
    UPSTREAM_TAGS.filter((tag) => tag !== "a"),
  );
  const summary = json(await ask(`${cache.url}/summary`)) as { summary: Record<string, number> };
  assert.equal(summary.summary["dockerhub"], 1);
});

test("tags: an unknown repository is 404 NAME_UNKNOWN, an upstream that is away without a saved list 502", async (t) => {
  const { upstream, cache } = await setUp(t);
  const missing = await ask(`${cache.url}/v2/library/missing/tags/list`);
  assert.deepEqual([missing.status, errorCode(missing)], [404, "NAME_UNKNOWN"]);
  await upstream.stop();
  const away = await ask(`${cache.url}/v2/library/other/tags/list`);
  assert.deepEqual([away.status, errorCode(away)], [502, "UNAVAILABLE"]);
});

test("tags: names that are no tags are left out, and each comes once", async (t) => {
  const { upstream, cache } = await setUp(t);
  const body = JSON.stringify({ name: "library/app", tags: ["b", "a", "b", "", "../x", "x".repeat(200)] });
  upstream.script(TAGS, { kind: "status", status: 200, body, headers: { "Content-Type": "application/json" } });
  assert.deepEqual(tagsOf(await ask(`${cache.url}/v2/library/app/tags/list`)), ["a", "b"]);
});

interface Entry {
  readonly digest: Digest;
  readonly artifactType?: string;
  readonly annotations?: Record<string, string>;
}

/** An image with a signature and an SBOM that refer to it. */
function withReferrers(upstream: FakeUpstream, tag = false) {
  const { digest: subject, size } = upstream.addImage("library/app", "1");
  const config = upstream.addBlob("library/app", Buffer.from("{}"));
  const refer = (artifactType: string) => {
    const manifest = {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      artifactType,
      config: { mediaType: "application/vnd.oci.empty.v1+json", digest: config, size: 2 },
      layers: [],
      subject: { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: subject, size },
      annotations: { made: artifactType },
    };
    const digest = upstream.addManifest("library/app", manifest);
    return { mediaType: manifest.mediaType, digest, size: JSON.stringify(manifest).length };
  };
  const entries = [refer("application/vnd.test.signature"), refer("application/vnd.test.sbom")];
  if (tag) addFallback(upstream, subject, entries);
  return { subject, entries };
}

function addFallback(upstream: FakeUpstream, subject: Digest, manifests: readonly object[]): void {
  const index = { schemaVersion: 2, mediaType: INDEX, manifests };
  upstream.addManifest("library/app", index, { tag: subject.replace(":", "-") });
}

async function referrers(cache: TestCache, subject: string, query = ""): Promise<Answer> {
  return await ask(`${cache.url}/v2/library/app/referrers/${subject}${query}`);
}

function entriesOf(answer: Answer): Entry[] {
  assert.equal(answer.headers["content-type"], INDEX);
  const index = json(answer) as { schemaVersion: number; mediaType: string; manifests: Entry[] };
  assert.deepEqual([index.schemaVersion, index.mediaType], [2, INDEX]);
  return index.manifests;
}

const digestsOf = (entries: readonly { digest: Digest }[]) => entries.map(({ digest }) => digest).toSorted();

for (const [name, options] of [
  ["upstream's own API", { referrers: "native", referrersPageMax: 1 }],
  ["the fallback tag, where there is no API", { referrers: 404 }],
  ["the fallback tag, where the API leads to a web page (ghcr.io)", { referrers: "redirect-html" }],
] as const) {
  test(`referrers: from ${name}, filtered by artifactType when asked`, async (t) => {
    const { upstream, cache } = await setUp(t, options);
    const { subject, entries } = withReferrers(upstream, true);
    const all = await referrers(cache, subject);
    assert.deepEqual(digestsOf(entriesOf(all)), digestsOf(entries));
    assert.equal(all.headers["oci-filters-applied"], undefined);
    for (const { artifactType, annotations } of entriesOf(all)) assert.equal(annotations?.["made"], artifactType);
    const some = await referrers(cache, subject, "?artifactType=application%2Fvnd.test.sbom");
    assert.deepEqual(digestsOf(entriesOf(some)), [entries[1]?.digest]);
    assert.equal(some.headers["oci-filters-applied"], "artifactType");
    assert.deepEqual(entriesOf(await referrers(cache, subject, "?artifactType=none")), []);
  });
}

test("referrers: none is an empty index, never a 404; a digest that is none is 400", async (t) => {
  for (const kind of ["native", 404, "redirect-html"] as const) {
    const { cache } = await setUp(t, { referrers: kind });
    assert.deepEqual(entriesOf(await referrers(cache, sha256(Buffer.from("nobody's")))), [], String(kind));
    const bad = await referrers(cache, "sha256:abc");
    assert.deepEqual([bad.status, errorCode(bad)], [400, "DIGEST_INVALID"]);
    await cache.stop();
  }
});

test("referrers: a fallback tag that resolves to the subject itself (registry.gitlab.com) refers to nothing", async (t) => {
  const { upstream, cache } = await setUp(t, { referrers: 404 });
  const image = upstream.addImage("library/app", "1");
  const index = upstream.addIndex("library/app", "2", ["linux/amd64"]);
  for (const { digest } of [image, index]) {
    upstream.setTag("library/app", digest.replace(":", "-"), digest);
    assert.deepEqual(entriesOf(await referrers(cache, digest)), []);
  }
});

test("referrers: entries of a fallback index that do not refer to the subject, or are not there, are left out", async (t) => {
  const { upstream, cache } = await setUp(t, { referrers: 404 });
  const { subject, entries } = withReferrers(upstream);
  const stranger = upstream.addImage("library/app", "other");
  const gone = { mediaType: stranger.mediaType, digest: sha256(seededBytes(9, "gone")), size: 9 };
  addFallback(upstream, subject, [...entries, { ...gone, digest: stranger.digest }, gone, { broken: true }]);
  assert.deepEqual(digestsOf(entriesOf(await referrers(cache, subject))), digestsOf(entries));
});

test("referrers: remembered for a minute and without upstream, also after a restart", async (t) => {
  const { upstream, cache } = await setUp(t);
  const { subject, entries } = withReferrers(upstream);
  await ask(`${cache.url}/v2/library/app/manifests/${subject}`);
  await referrers(cache, subject);
  await referrers(cache, subject, "?artifactType=x");
  assert.equal(upstream.count({ path: "/referrers/" }), 1);
  await upstream.stop();
  const again = await cache.restart();
  assert.deepEqual(digestsOf(entriesOf(await referrers(again, subject))), digestsOf(entries));
});

test("referrers: what refers to a manifest that is not held is remembered in memory only", async (t) => {
  const { upstream, cache } = await setUp(t);
  const { subject } = withReferrers(upstream);
  await referrers(cache, subject);
  await referrers(cache, subject);
  assert.equal(upstream.count({ path: "/referrers/" }), 1);
  const again = await cache.restart();
  await referrers(again, subject);
  assert.equal(upstream.count({ path: "/referrers/" }), 2);
});

test("tags: of more than 10,000 the rest follows by Link, also for a client that names no number", async (t) => {
  const { upstream, cache } = await setUp(t);
  const tags = Array.from({ length: 10_001 }, (_, index) => `t${String(index).padStart(5, "0")}`);
  const body = JSON.stringify({ name: "library/app", tags });
  upstream.script(TAGS, { kind: "status", status: 200, body, headers: { "Content-Type": "application/json" } });
  const first = await ask(`${cache.url}/v2/library/app/tags/list`);
  assert.equal(tagsOf(first).length, 10_000);
  const path = next(first);
  assert.equal(path, "/v2/library/app/tags/list?n=10000&last=t09999");
  assert.deepEqual(tagsOf(await ask(cache.url + path)), ["t10000"]);
});

test("lists work without a catalog: upstream is asked instead", async (t) => {
  const { upstream, cache } = await setUp(t);
  withTags(upstream);
  await ask(`${cache.url}/v2/library/app/tags/list`);
  await cache.stop();
  for (const part of ["", "-wal", "-shm"]) await rm(join(cache.dataDir, `catalog.sqlite${part}`), { force: true });
  const again = await cache.restart();
  assert.deepEqual(tagsOf(await ask(`${again.url}/v2/library/app/tags/list`)), UPSTREAM_TAGS);
});

test("_catalog: what is held, in pages, of everything or of the registry that was named", async (t) => {
  const { upstream, cache } = await setUp(t);
  for (const name of ["library/a", "library/b", "team/c"]) upstream.addImage(name, "1");
  for (const name of ["library/a", "library/b", "ghcr.io/team/c", "ghcr.io/library/a"]) {
    assert.equal((await ask(`${cache.url}/v2/${name}/manifests/1`)).status, 200);
  }
  await ask(`${cache.url}/v2/library/missing/manifests/1`);
  await cache.app.idle();
  const everything = ["docker.io/library/a", "docker.io/library/b", "ghcr.io/library/a", "ghcr.io/team/c"];
  assert.deepEqual(reposOf(await ask(`${cache.url}/v2/_catalog`)), everything);
  const paged: string[] = [];
  for (let at: string | undefined = "/v2/_catalog?n=3"; at !== undefined;) {
    const answer: Answer = await ask(cache.url + at);
    paged.push(...reposOf(answer));
    at = next(answer);
  }
  assert.deepEqual(paged, everything);
  for (const [path, headers] of [
    ["/v2/_catalog?ns=ghcr.io", {}],
    ["/ghcr.io/v2/_catalog", {}],
    ["/v2/_catalog", { Host: "ghcr.cache.test:5000" }],
  ] as const) {
    assert.deepEqual(reposOf(await ask(cache.url + path, { headers })), ["library/a", "team/c"], path);
  }
  const page = await ask(`${cache.url}/v2/_catalog?ns=ghcr.io&n=1`);
  assert.deepEqual(reposOf(page), ["library/a"]);
  assert.deepEqual(reposOf(await ask(cache.url + next(page))), ["team/c"]);
  assert.deepEqual(reposOf(await ask(`${cache.url}/v2/_catalog?n=0`)), []);
  for (const { digest } of [upstream.addImage("library/a", "1")]) {
    await upstream.stop();
    assert.equal(
      (await ask(`${cache.url}/v2/docker.io/library/a/manifests/${digest}`)).status,
      200,
      "names can be pulled here",
    );
  }
});
