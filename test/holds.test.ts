/** Tags that are held at a digest, on the whole cache with one worker and with several. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { suite, test, type TestContext } from "node:test";
import type { WarmEvent } from "../src/admin/warm.ts";
import type { PinAnswer } from "../src/admin/api/answers.ts";
import { linesOfCache } from "../src/cli/control-client.ts";
import type { AccessRule, RegistryConfig } from "../src/config/config.ts";
import type { Digest } from "../src/oci/digest.ts";
import type { Repository } from "../src/oci/reference.ts";
import { HoldsInMemory } from "../src/pull/holds.ts";
import { startApiSite } from "./support/api-site.ts";
import { sha256 } from "./support/bytes.ts";
import { OPEN_ACCESS, startCache, type TestCacheOptions, testRegistry } from "./support/cache.ts";
import { ask } from "./support/client.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import { name, tag } from "./support/upstreams.ts";

const APP: Repository = { registryId: "dockerhub", serves: "docker.io", name: name("library/app") };
const FRONTS = 3;
/** More than there are fronts, so that each of them is asked. */
const CLIENTS = 3 * FRONTS;
const HOUR: Partial<RegistryConfig> = { tags: [{ match: "*", revalidate: { kind: "after", ms: 3_600_000 } }] };

const TIMEOUTS = { connectMs: 5_000, headersMs: 5_000, idleMs: 5_000, askBudgetMs: 1_500 };

function tagOf(text: string) {
  const reference = tag(text);
  assert.ok(reference.kind === "tag");
  return reference.tag;
}

const latest = tagOf("latest");

async function setUp(
  t: TestContext,
  workers: number,
  registry: Partial<RegistryConfig> = HOUR,
  options: TestCacheOptions = {},
) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const holds = new HoldsInMemory();
  const news: string[] = [];
  const cache = await startCache(t, [testRegistry(upstream.url, registry)], {
    ...options,
    config: { workers, ...options.config },
    more: {
      holds,
      heldNews: {
        onTagMoved: (_, moved, from, to) => news.push(`${moved} ${from} ${to}`),
        onNewDigest: (_, digest) => news.push(`new ${digest}`),
      },
    },
  });
  const get = async (path = "manifests/latest", method = "GET") =>
    await ask(`${cache.url}/v2/library/app/${path}`, { method });
  const all = async () => await Promise.all(Array.from({ length: CLIENTS }, async () => await get()));
  const digests = async () => new Set((await all()).map(({ headers }) => headers["docker-content-digest"]));
  const tagAsked = () => upstream.count({ path: "/manifests/latest" });
  return { upstream, cache, holds, news, get, all, digests, tagAsked };
}

for (const workers of [1, FRONTS]) {
  suite(`a held tag, with ${workers} worker${workers === 1 ? "" : "s"}`, () => {
    test("leads back to what was good as soon as it is held, and on as soon as it is released", async (t) => {
      const { upstream, holds, news, get, all, digests, tagAsked } = await setUp(t, workers, {
        tags: [{ match: "*", revalidate: { kind: "after", ms: 1 } }],
      });
      const good = upstream.addImage("library/app", "latest", { seed: "good" });
      assert.deepEqual(await digests(), new Set([good.digest]));
      const broken = upstream.addImage("library/app", "latest", { seed: "broken" });
      assert.deepEqual(await digests(), new Set([broken.digest]));
      assert.deepEqual(news, [`new ${good.digest}`, `new ${broken.digest}`, `latest ${good.digest} ${broken.digest}`]);

      holds.hold(APP, latest, good.digest);
      const before = tagAsked();
      for (const { headers, body } of [...(await all()), ...(await all())]) {
        assert.equal(headers["docker-content-digest"], good.digest);
        assert.equal(headers["cache-status"], "registry-cache; hit; detail=pinned");
        assert.ok(body.equals(good.bytes));
      }
      const head = await get("manifests/latest", "HEAD");
      assert.equal(head.headers["docker-content-digest"], good.digest);
      // Whatever upstream does meanwhile.
      upstream.addImage("library/app", "latest", { seed: "worse" });
      await upstream.stop();
      assert.deepEqual(await digests(), new Set([good.digest]));
      assert.equal(tagAsked(), before);
      await upstream.restart();

      const mended = upstream.addImage("library/app", "latest", { seed: "mended" });
      holds.release(APP, latest);
      assert.deepEqual(await digests(), new Set([mended.digest]));
    });

    test("is asked about anew when it is released, though upstream's word is still fresh", async (t) => {
      const { upstream, holds, digests, tagAsked, get } = await setUp(t, workers);
      const good = upstream.addImage("library/app", "latest", { seed: "good" });
      assert.deepEqual(await digests(), new Set([good.digest]));
      holds.hold(APP, latest, good.digest);
      assert.deepEqual(await digests(), new Set([good.digest]));
      const next = upstream.addImage("library/app", "latest", { seed: "next" });
      assert.equal(tagAsked(), 1);
      holds.release(APP, latest);
      assert.equal((await get()).headers["docker-content-digest"], next.digest);
      assert.deepEqual(await digests(), new Set([next.digest]));
      const asked = tagAsked();
      assert.deepEqual(await digests(), new Set([next.digest]));
      assert.equal(tagAsked(), asked);
    });

    test("is fetched by its digest where that is not held, once for all who ask", async (t) => {
      const { upstream, holds, all, tagAsked } = await setUp(t, workers);
      const image = upstream.addImage("library/app", "other", { seed: "other" });
      upstream.addImage("library/app", "latest");
      holds.hold(APP, latest, image.digest);
      for (const { status, headers } of await all()) {
        assert.deepEqual([status, headers["docker-content-digest"]], [200, image.digest]);
        assert.match(String(headers["cache-status"]), /; detail=pinned$/);
      }
      assert.deepEqual([tagAsked(), upstream.count({ path: image.digest })], [0, 1]);
      holds.hold(APP, latest, sha256(Buffer.from("nobody has this")));
      for (const { status, body } of await all()) {
        assert.equal(status, 404);
        assert.match(
          body.toString(),
          /the tag is held here at sha256:[0-9a-f]{64}, by a pin: upstream does not have it/,
        );
      }
      assert.equal(tagAsked(), 0);
    });
  });
}

test("a tag is held at a digest that is held or that upstream has, and at nothing else", async (t) => {
  const site = await startApiSite(t, { registry: { timeouts: TIMEOUTS } });
  const hold = async (digest: string) => {
    const { status, body } = await site.ask("PUT", `/api/v1/pins/app:latest@${digest}`, { user: "ops" });
    return { status, pin: JSON.parse(body.toString()) as Partial<PinAnswer> & { detail?: string } };
  };
  const pull = async () => (await site.ask("GET", "/v2/library/app/manifests/latest", { user: "me" })).status;
  const nobodys = sha256(Buffer.from("nobody has this"));
  const image = site.upstream.addImage("library/app", "latest", { seed: 1 });
  const other = site.upstream.addImage("library/app", "other", { seed: 2 });
  const refused = await hold(nobodys);
  assert.equal(refused.status, 404);
  assert.match(
    String(refused.pin.detail),
    /^docker.io\/library\/app has no sha256:\S+, here or upstream, so that no tag/,
  );
  assert.equal(await pull(), 200);
  assert.deepEqual((await hold(other.digest)).pin.isHeld, false);
  assert.equal(site.upstream.count({ method: "GET", path: other.digest }), 0);
  const held = await hold(image.digest);
  assert.deepEqual([held.pin.isHeld, held.pin.unconfirmed], [true, undefined]);
  // Whom nobody can ask is believed.
  site.upstream.script({ path: nobodys }, { kind: "hang" });
  const slow = await hold(nobodys);
  assert.deepEqual([slow.status, slow.pin.isHeld, slow.pin.unconfirmed], [200, false, "no answer within 1.5 s"]);
  await site.upstream.stop();
  const away = await hold(nobodys);
  assert.deepEqual([away.status, away.pin.isHeld], [200, false]);
  assert.match(String(away.pin.unconfirmed), /./);
});

test("what upstream last said of a held tag stays in the store and in the history", async (t) => {
  const { upstream, cache, holds, get } = await setUp(t, 1);
  const first = upstream.addImage("library/app", "latest", { seed: 1 });
  await get();
  const other = upstream.addImage("library/app", "other", { seed: 2 });
  await get("manifests/other");
  holds.hold(APP, latest, other.digest);
  assert.equal((await get()).headers["docker-content-digest"], other.digest);
  await cache.stop();
  const catalog = new DatabaseSync(join(cache.dataDir, "catalog.sqlite"), { readOnly: true });
  const rows = catalog
    .prepare("select digest from tags where tag = 'latest' union all select digest from tag_history")
    .all();
  catalog.close();
  assert.deepEqual(
    rows.map(({ digest }) => digest),
    [first.digest],
  );
  // Without the hold, and without upstream.
  await upstream.stop();
  const later = await startCache(t, [testRegistry(upstream.url, HOUR)], { dataDir: cache.dataDir });
  const { headers } = await ask(`${later.url}/v2/library/app/manifests/latest`);
  assert.equal(headers["docker-content-digest"], first.digest);
});

test("a held tag is warmed at what it is held at", async (t) => {
  const { upstream, cache, holds, get, tagAsked } = await setUp(t, 1);
  const good = upstream.addImage("library/app", "latest", { seed: "good" });
  upstream.addImage("library/app", "latest", { seed: "broken" });
  holds.hold(APP, latest, good.digest);
  const { signal } = new AbortController();
  const body = { references: ["app:latest"], platforms: "all" };
  let last: WarmEvent | undefined;
  for await (const line of linesOfCache(cache.dataDir, { method: "POST", path: "/api/v1/warm", body, signal }))
    last = line as WarmEvent;
  assert.deepEqual([last?.images[0]?.state, last?.images[0]?.digest, tagAsked()], ["done", good.digest, 0]);
  await upstream.stop();
  for (const { digest } of good.layers) assert.equal((await get(`blobs/${digest}`)).status, 200);
});

const NEW: AccessRule = { who: "*", registry: undefined, repository: "*", tag: "*", allow: true, minAgeMs: 3_600_000 };

test("a hold is no way around a quarantine, and no reason to give out anything else than what is held", async (t) => {
  const startMs = Date.now();
  t.mock.timers.enable({ apis: ["Date"], now: startMs });
  const { upstream, holds, get } = await setUp(t, 1, HOUR, { config: { access: { ...OPEN_ACCESS, rules: [NEW] } } });
  const old = upstream.addImage("library/app", "latest", { seed: "old" });
  assert.equal((await get()).status, 403);
  t.mock.timers.setTime(startMs + 4_000_000);
  assert.equal((await get()).headers["docker-content-digest"], old.digest);
  const fresh = upstream.addImage("library/app", "other", { seed: "fresh" });
  holds.hold(APP, latest, fresh.digest);
  const refused = await get();
  assert.equal(refused.status, 403);
  assert.match(refused.body.toString(), /too new for rule 1/);
  holds.hold(APP, latest, old.digest);
  assert.equal((await get()).headers["docker-content-digest"], old.digest);
  t.mock.timers.setTime(startMs + 9_000_000);
  holds.hold(APP, latest, fresh.digest);
  const given = await get();
  assert.deepEqual([given.status, given.headers["cache-status"]], [200, "registry-cache; hit; detail=pinned"]);
});

test("whoever may pull the held tag may pull what it leads to, and nobody else", async (t) => {
  const deny = { who: "*", registry: undefined, repository: "**", minAgeMs: 0 };
  const rules = [
    { ...deny, tag: "latest", allow: true },
    { ...deny, tag: "*", allow: false },
  ];
  const { upstream, holds, get } = await setUp(t, 1, HOUR, { config: { access: { ...OPEN_ACCESS, rules } } });
  const index = upstream.addIndex("library/app", "other", ["linux/amd64"]);
  const [child] = index.images;
  assert.ok(child);
  assert.equal((await get(`manifests/${index.digest}`)).status, 403);
  holds.hold(APP, latest, index.digest);
  assert.equal((await get()).status, 200);
  assert.equal((await get(`manifests/${index.digest}`)).status, 200);
  assert.equal((await get(`manifests/${child.digest}`)).status, 200);
  for (const { digest } of [child.config, ...child.layers]) assert.equal((await get(`blobs/${digest}`)).status, 200);
  holds.release(APP, latest);
  assert.equal((await get(`manifests/${index.digest}`)).status, 403);
});

test("a held tag of what is never asked for is served where it is held, and refused where it is not", async (t) => {
  const offline: Partial<RegistryConfig> = { tags: [{ match: "*", revalidate: { kind: "offline" } }] };
  const { upstream, holds, get } = await setUp(t, 1, offline);
  const image = upstream.addImage("library/app", "latest");
  holds.hold(APP, latest, image.digest);
  assert.equal((await get()).status, 404);
  assert.equal(upstream.requests.length, 0);
  assert.equal((await get(`manifests/${image.digest}`)).status, 200);
  assert.equal((await get()).status, 200);
});

test("private content is given out by a held tag to nobody who would not get it by its digest", async (t) => {
  const credentials = { kind: "basic", username: "me", password: "secret" } as const;
  const upstream = await startFakeUpstream({
    auth: "bearer",
    users: { me: "secret" },
    privateRepositories: ["library/app"],
  });
  t.after(async () => await upstream.stop());
  const holds = new HoldsInMemory();
  const registry = testRegistry(upstream.url, { ...HOUR, credentials, sharedRepositories: [] });
  const cache = await startCache(t, [registry], { more: { holds } });
  const image = upstream.addImage("library/app", "latest");
  holds.hold(APP, latest, image.digest);
  const [byTag, byDigest] = await Promise.all(
    ["latest", image.digest].map(async (one) => await ask(`${cache.url}/v2/library/app/manifests/${one}`)),
  );
  assert.deepEqual([byTag?.status, byDigest?.status], [403, 403]);
});

test("credentials that are passed through have to open the repository of a held tag as well", async (t) => {
  const upstream = await startFakeUpstream({
    auth: "bearer",
    users: { ann: "secret" },
    privateRepositories: ["library/app"],
  });
  t.after(async () => await upstream.stop());
  const holds = new HoldsInMemory();
  const hostnames = ["corp.cache.test"];
  const registry = testRegistry(upstream.url, { ...HOUR, hostnames, sharedRepositories: [], passThrough: true });
  const cache = await startCache(t, [registry], { more: { holds } });
  const get = async (headers: Record<string, string> = {}) =>
    await ask(`${cache.url}/v2/library/app/manifests/latest`, { headers: { Host: "corp.cache.test", ...headers } });
  const ann = { Authorization: `Basic ${Buffer.from("ann:secret").toString("base64")}` };
  const good = upstream.addImage("library/app", "latest", { seed: "good" });
  assert.equal((await get(ann)).status, 200);
  upstream.addImage("library/app", "latest", { seed: "broken" });
  holds.hold(APP, latest, good.digest);
  assert.deepEqual([(await get()).status, (await get(ann)).headers["docker-content-digest"]], [401, good.digest]);
});

test("holds are listed by repository, replaced, and released once", () => {
  const holds = new HoldsInMemory();
  const heard: string[] = [];
  holds.onChange((repository, changed) =>
    heard.push(`${repository.name}:${changed} ${holds.digestOf(repository, changed)?.slice(0, 9)}`),
  );
  const [a, b] = ["a", "b"].map((one) => sha256(Buffer.from(one))) as [Digest, Digest];
  const other = { ...APP, serves: "ghcr.io", registryId: "ghcr" };
  holds.hold(APP, latest, a);
  holds.hold(APP, latest, b);
  assert.deepEqual([...holds.of(APP)], [[latest, b]]);
  assert.deepEqual([holds.digestOf(other, latest), [...holds.of(other)]], [undefined, []]);
  assert.deepEqual(
    [holds.release(other, latest), holds.release(APP, latest), holds.release(APP, latest)],
    [false, true, false],
  );
  const [short, shorter] = [a.slice(0, 9), b.slice(0, 9)];
  assert.deepEqual(heard, [
    `library/app:latest ${short}`,
    `library/app:latest ${shorter}`,
    "library/app:latest undefined",
  ]);
});
