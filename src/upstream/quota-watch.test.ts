/** Docker Hub's quota, as the pull path meets it. */
import assert from "node:assert/strict";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import type { PullsLeft } from "../../test/support/fake-upstream.ts";
import type { HasAfter } from "../../test/support/temp.ts";
import { type BenchOptions, failsAs, name, patient, startBench, tag } from "../../test/support/upstreams.ts";
import { QUOTA_PAUSE_MS } from "./quota.ts";
import { UpstreamError } from "./upstream.ts";

const app = name("team/app");
const latest = tag("latest");

/** A bench with a quota, whose clock stands still until it is moved. */
async function startMetered(t: HasAfter, pulls: PullsLeft, { fake = {}, registry = {} }: BenchOptions = {}) {
  const clock = { nowMs: 0 };
  const verdicts: string[] = [];
  const bench = await startBench(t, {
    fake: { pullsOf: () => pulls, ...fake },
    registry: { quotaReserveShare: 0.1, ...registry },
    upstreams: {
      nowMs: () => clock.nowMs,
      onQuota: (id, verdict, { remaining }) => verdicts.push(`${id} ${verdict} ${remaining}`),
    },
  });
  const image = bench.fake.addImage(app, "latest");
  const head = () => bench.upstream.headManifest(app, latest, patient());
  const get = () => bench.upstream.getManifest(app, latest, patient());
  const asked = () =>
    bench.fake.requests.filter(({ path }) => path.includes("/manifests/")).map(({ method }) => method);
  return { ...bench, clock, image, head, get, asked, verdicts, pulls };
}

const isSpent = (retryAfterS: number) => (error: unknown) =>
  failsAs("quota")(error) && error instanceof UpstreamError && error.retryAfterS === retryAfterS;

test("what HEAD and GET say of the pulls that are left is known, with its time", async (t) => {
  const { upstream, head, get } = await startMetered(t, { limit: 100, remaining: 60 });
  const said = () => upstream.quota.seen;
  assert.equal(said(), undefined);
  const beforeMs = Date.now();
  await head();
  const seen = said();
  assert.deepEqual([seen?.limit, seen?.remaining, seen?.windowS], [100, 60, 21_600]);
  assert.ok((seen?.atMs ?? 0) >= beforeMs);
  await get();
  assert.equal(said()?.remaining, 59);
});

test("a registry without such headers is never touched by it", async (t) => {
  const { upstream, fake, get } = await startMetered(
    t,
    { limit: 0, remaining: 0 },
    { fake: { pullsOf: () => undefined } },
  );
  fake.script({}, { kind: "headers", set: { "ratelimit-limit": "lots", "ratelimit-remaining": "0" }, times: Infinity });
  for (let time = 0; time < 3; time += 1) await get();
  assert.deepEqual(upstream.quota, { verdict: "plenty", seen: undefined });
});

test("the last pull is the last one: no manifest is asked for, but blobs are", async (t) => {
  const { upstream, fake, image, get, head, asked, verdicts } = await startMetered(t, { limit: 20, remaining: 2 });
  await get();
  // Told as soon as it is known.
  assert.deepEqual(verdicts, ["test low 1"]);
  assert.equal(upstream.quota.verdict, "low");
  await get();
  assert.equal(upstream.quota.verdict, "spent");
  for (let time = 0; time < 3; time += 1) {
    await assert.rejects(get(), isSpent(QUOTA_PAUSE_MS / 1000));
    await assert.rejects(head(), isSpent(QUOTA_PAUSE_MS / 1000));
  }
  assert.deepEqual(asked(), ["GET", "GET"]);
  const { body } = await upstream.openBlob(app, image.config.digest, undefined, patient());
  assert.deepEqual(await buffer(body), Buffer.from(image.config.bytes));
  assert.deepEqual(await upstream.listTags(app, patient()), ["latest"]);
  assert.equal(fake.count({ path: "/blobs/" }), 1);
  assert.deepEqual(verdicts, ["test low 1", "test spent 0"]);
});

test("whether there are pulls again is found out by one HEAD a minute, which costs none", async (t) => {
  const { upstream, clock, image, get, asked, verdicts, pulls } = await startMetered(t, { limit: 20, remaining: 1 });
  await get();
  for (let minute = 1; minute <= 3; minute += 1) {
    clock.nowMs = minute * QUOTA_PAUSE_MS;
    const all = await Promise.allSettled([get(), get(), get()]);
    assert.ok(all.every(({ status }) => status === "rejected"));
    assert.deepEqual(asked(), ["GET", ...Array.from({ length: minute }, () => "HEAD")]);
  }
  pulls.remaining = 20;
  await assert.rejects(get(), isSpent(QUOTA_PAUSE_MS / 1000));
  clock.nowMs += QUOTA_PAUSE_MS;
  assert.deepEqual((await get()).digest, image.digest);
  assert.deepEqual(asked().slice(-2), ["HEAD", "GET"]);
  assert.equal(upstream.quota.verdict, "plenty");
  assert.deepEqual(verdicts, ["test spent 0", "test plenty 20"]);
});

test("a 429 that says that none are left is no pause: blobs go on, and its Retry-After is kept", async (t) => {
  const pulls = { limit: 20, remaining: 0, refusal: { "retry-after": "300" } };
  const { upstream, clock, image, get, asked } = await startMetered(t, pulls);
  await assert.rejects(get(), failsAs("quota", 429));
  assert.equal(upstream.available, true);
  assert.deepEqual(upstream.state().breaker, { kind: "closed" });
  clock.nowMs = 299_000;
  await assert.rejects(get(), isSpent(1));
  assert.deepEqual(asked(), ["GET"]);
  assert.equal((await upstream.probeBlob(app, image.config.digest, patient())).size, image.config.size);
  clock.nowMs = 300_000;
  await assert.rejects(get(), failsAs("quota"));
  assert.deepEqual(asked(), ["GET", "HEAD"]);
});

test("a 429 for asking too fast opens the breaker as ever, whatever is left", async (t) => {
  const { upstream, fake, get } = await startMetered(t, { limit: 20, remaining: 15 });
  await get();
  fake.script({}, { kind: "status", status: 429, headers: { "retry-after": "30" } });
  await assert.rejects(get(), failsAs("rate-limited", 429));
  assert.deepEqual(upstream.state().breaker, { kind: "open", because: "rate-limit", forMs: 30_000 });
  assert.equal(upstream.quota.verdict, "plenty");
});

test("after the window what was said counts no more", async (t) => {
  const { upstream, clock, get, asked } = await startMetered(t, { limit: 20, remaining: 1, windowS: 3_600 });
  await get();
  assert.equal(upstream.quota.verdict, "spent");
  clock.nowMs = 3_600_000;
  assert.equal(upstream.quota.verdict, "plenty");
  await assert.rejects(get(), failsAs("quota", 429));
  assert.deepEqual(asked(), ["GET", "GET"]);
});

test("a repository that counts for nothing is had with no pulls left", async (t) => {
  const pulls: PullsLeft = { limit: 20, remaining: 1 };
  let isMetered = true;
  const pullsOf = () => (isMetered ? pulls : undefined);
  const { clock, image, get, asked } = await startMetered(t, pulls, { fake: { pullsOf } });
  await get();
  isMetered = false;
  clock.nowMs = QUOTA_PAUSE_MS;
  assert.equal((await get()).digest, image.digest);
  assert.deepEqual(asked(), ["GET", "HEAD", "GET"]);
});

test("what a refusal says is left to somebody without credentials is not what is left to us", async (t) => {
  const { upstream, fake, get, verdicts } = await startMetered(
    t,
    { limit: 200, remaining: 150 },
    {
      fake: { auth: "basic", users: { me: "secret" } },
      registry: { credentials: { kind: "basic", username: "me", password: "secret" } },
    },
  );
  const theirs = { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0;w=21600" };
  fake.script({ authorized: false }, { kind: "headers", set: theirs, times: Infinity });
  await get();
  assert.equal(fake.requests[0]?.status, 401);
  assert.equal(upstream.quota.seen?.remaining, 149);
  assert.deepEqual(verdicts, []);
});

test("with credentials that need not be shown, what a stranger has left does not count", async (t) => {
  const theirs: PullsLeft = { limit: 100, remaining: 0 };
  const { upstream, fake, get } = await startMetered(t, theirs, {
    fake: { auth: "bearer", users: { me: "secret" } },
    registry: { credentials: { kind: "basic", username: "me", password: "secret" }, sharedRepositories: [] },
  });
  // The question whether everybody may see it is the stranger's.
  const counts = { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0;w=21600" };
  fake.script({ path: "/tags/list" }, { kind: "headers", set: counts, times: Infinity });
  theirs.remaining = 77;
  await get();
  assert.equal(fake.count({ path: "/tags/list" }), 2);
  assert.equal(upstream.quota.seen?.remaining, 76);
});
