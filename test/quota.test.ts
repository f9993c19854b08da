/** An upstream that lets pull only so much, as Docker Hub does, on the whole cache with one worker and with several. */
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { askCache, linesOfCache } from "../src/cli/control-client.ts";
import type { WarmEvent } from "../src/admin/warm.ts";
import { SPARING_FACTOR } from "../src/pull/freshness.ts";
import { startCache, testRegistry } from "./support/cache.ts";
import { ask, errorCode } from "./support/client.ts";
import { type FakeUpstream, type PullsLeft, startFakeUpstream } from "./support/fake-upstream.ts";
import { eventually } from "./support/open-files.ts";

const FRONTS = 3;
const CLIENTS = 3 * FRONTS;
const TTL_S = 100;
const APP = "library/app";

async function setUp(t: TestContext, pulls: PullsLeft, workers = 1, ttlMs = TTL_S * 1000) {
  const upstream = await startFakeUpstream({ pullsOf: () => pulls });
  t.after(async () => await upstream.stop());
  const verdicts: string[] = [];
  const registry = testRegistry(upstream.url, { tags: [{ match: "*", revalidate: { kind: "after", ms: ttlMs } }] });
  const cache = await startCache(t, [registry], {
    config: { workers },
    more: { onQuota: (id, verdict, { remaining }) => verdicts.push(`${id} ${verdict} ${remaining}`) },
  });
  const get = async (path: string) => await ask(`${cache.url}/v2/${APP}/${path}`);
  const all = async (path: string) => await Promise.all(Array.from({ length: CLIENTS }, async () => await get(path)));
  return { upstream, cache, get, all, verdicts, dataDir: cache.dataDir };
}

function pullsAsked(upstream: FakeUpstream): number {
  return upstream.count({ role: "registry", method: "GET", path: "/manifests/" });
}

function ttlOf(status: string | string[] | undefined): number {
  return Number(/; hit; ttl=(\d+)$/.exec(String(status))?.[1] ?? 0);
}

async function warmed(
  dataDir: string,
  references: readonly string[],
  keepFresh = false,
): Promise<WarmEvent | undefined> {
  const body = { references, platforms: "all", keepFresh };
  let last: WarmEvent | undefined;
  const { signal } = new AbortController();
  for await (const line of linesOfCache(dataDir, { method: "POST", path: "/api/v1/warm", body, signal }))
    last = line as WarmEvent;
  return last;
}

for (const workers of [1, FRONTS]) {
  suite(`with ${workers} worker${workers === 1 ? "" : "s"}`, () => {
    test("few pulls left make tags stay fresh for longer, enough of them for as long as ever", async (t) => {
      const pulls: PullsLeft = { limit: 100, remaining: 10 };
      const { upstream, get, all, verdicts } = await setUp(t, pulls, workers);
      for (const one of ["1", "2", "3"]) upstream.addImage(APP, one);
      await get("manifests/1");
      await eventually(async () =>
        (await all("manifests/1")).every(({ headers }) => ttlOf(headers["cache-status"]) > TTL_S),
      );
      for (const { headers } of await all("manifests/1"))
        assert.ok(ttlOf(headers["cache-status"]) > TTL_S * (SPARING_FACTOR - 1), String(headers["cache-status"]));
      pulls.remaining = 90;
      await get("manifests/2");
      await eventually(async () =>
        (await all("manifests/1")).every(({ headers }) => ttlOf(headers["cache-status"]) <= TTL_S),
      );
      assert.deepEqual(verdicts, ["dockerhub low 9", "dockerhub plenty 89"]);
    });

    test("with none left what is held is served and said to be stale, and nothing else is asked for", async (t) => {
      const pulls: PullsLeft = { limit: 100, remaining: 1, refusal: { "retry-after": "21600" } };
      const { upstream, get, all } = await setUp(t, pulls, workers, 1);
      const image = upstream.addImage(APP, "1");
      const other = upstream.addImage(APP, "2");
      assert.equal((await get("manifests/1")).status, 200);
      for (const { status, headers } of await all("manifests/1")) {
        assert.deepEqual([status, headers["docker-content-digest"]], [200, image.digest]);
        assert.equal(headers["cache-status"], "registry-cache; hit; detail=stale-quota");
        assert.match(
          String(headers["warning"]),
          /^299 - "served from cache, .*: the pulls that upstream allows are used up"$/,
        );
      }
      for (const path of ["manifests/2", `manifests/${other.digest}`]) {
        for (const answer of await all(path)) {
          assert.deepEqual([answer.status, errorCode(answer)], [429, "TOOMANYREQUESTS"]);
          assert.ok(Number(answer.headers["retry-after"]) > 0);
          assert.match(answer.body.toString(), /used up: 0 of 100 pulls in 6 h are left; it is asked again in \d+ s/);
        }
      }
      assert.deepEqual([pullsAsked(upstream), upstream.count({ method: "HEAD" })], [1, 0]);
      // Whoever has a manifest gets its blobs.
      for (const { digest } of [image.config, ...image.layers])
        assert.equal((await get(`blobs/${digest}`)).status, 200);
    });
  });
}

test("a refusal that says so is passed on as what it is, and blobs go on", async (t) => {
  const pulls: PullsLeft = { limit: 100, remaining: 0 };
  const { upstream, get } = await setUp(t, pulls);
  const image = upstream.addImage(APP, "1");
  const [layer] = image.layers;
  assert.ok(layer);
  const answers = [await get("manifests/1"), await get("manifests/1")];
  for (const answer of answers) assert.deepEqual([answer.status, errorCode(answer)], [429, "TOOMANYREQUESTS"]);
  assert.equal(pullsAsked(upstream), 1);
  assert.equal((await get(`blobs/${layer.digest}`)).status, 200);
  assert.equal((await get("tags/list")).status, 200);
});

test("warming waits while pulls are to be spared, and says so", async (t) => {
  const pulls: PullsLeft = { limit: 100, remaining: 6 };
  const { upstream, dataDir, get } = await setUp(t, pulls);
  upstream.addImage(APP, "1");
  upstream.addImage(APP, "2");
  await get("manifests/1");
  const asked = upstream.requests.length;
  const waiting = await warmed(dataDir, ["app:2"], true);
  const [image] = waiting?.images ?? [];
  assert.equal(image?.state, "failed");
  assert.deepEqual(image?.error, {
    status: 429,
    code: "TOOMANYREQUESTS",
    message: "waits for quota: 5 of 100 pulls that upstream allows are left, which are for clients",
  });
  assert.equal(upstream.requests.length, asked);
  // Clients go on.
  assert.equal((await get("manifests/2")).status, 200);
  pulls.remaining = 80;
  upstream.addImage(APP, "3");
  assert.equal((await get("manifests/3")).status, 200);
  assert.equal((await warmed(dataDir, ["app:2"], true))?.images[0]?.state, "done");
  const { signal } = new AbortController();
  const listed = await askCache(dataDir, { method: "GET", path: "/api/v1/keep-fresh", signal });
  assert.match(JSON.stringify(listed), /docker.io\/library\/app:2/);
});
