/** The breaker, the limits and closing, as the pull path meets them. */
import assert from "node:assert/strict";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { seededBytes } from "../../test/support/bytes.ts";
import type { HasAfter } from "../../test/support/temp.ts";
import { type BenchOptions, failsAs, name, patient, startBench, tag } from "../../test/support/upstreams.ts";
import { BREAKER_FAILURES_MAX, BREAKER_OPEN_MIN_MS, RATE_LIMIT_PAUSE_MAX_MS, RATE_LIMIT_PAUSE_MS } from "./breaker.ts";
import { UpstreamError } from "./upstream.ts";

const app = name("team/app");
const latest = tag("latest");

/** A bench whose clock stands still until it is moved. */
async function startStill(t: HasAfter, options: BenchOptions = {}) {
  const clock = { nowMs: 0 };
  const bench = await startBench(t, { ...options, upstreams: { nowMs: () => clock.nowMs } });
  const image = bench.fake.addImage(app, "latest");
  const ask = (signal = patient()) => bench.upstream.headManifest(app, latest, signal);
  const failOften = async () => {
    for (let time = 0; time < BREAKER_FAILURES_MAX; time += 1) await assert.rejects(ask());
  };
  return { ...bench, clock, image, ask, failOften };
}

test("an upstream that is gone is asked a few times, then answers are `unavailable` at once until it is back", async (t) => {
  const { fake, upstream, clock, image, ask } = await startStill(t);
  await fake.stop();
  for (let time = 0; time < BREAKER_FAILURES_MAX; time += 1) {
    assert.equal(upstream.available, true);
    await assert.rejects(ask(), failsAs("unreachable"));
  }
  assert.equal(upstream.available, false);
  await fake.restart();
  await assert.rejects(ask(), (error) => {
    assert.ok(failsAs("unavailable")(error));
    return error instanceof UpstreamError && error.retryAfterS === BREAKER_OPEN_MIN_MS / 1000;
  });
  assert.equal(fake.requests.length, 0);
  clock.nowMs = BREAKER_OPEN_MIN_MS;
  assert.equal(upstream.available, true);
  assert.equal((await ask()).digest, image.digest);
  assert.equal((await ask()).digest, image.digest);
});

test("5xx open the breaker, refusals do not", async (t) => {
  const { fake, upstream, ask, failOften } = await startStill(t);
  for (const status of [404, 403, 401, 400]) {
    const script = fake.script({}, { kind: "status", status, times: Infinity });
    await failOften();
    assert.equal(upstream.available, true, `${status}`);
    script.remove();
  }
  fake.script({}, { kind: "status", status: 503, times: BREAKER_FAILURES_MAX });
  await failOften();
  await assert.rejects(ask(), failsAs("unavailable"));
});

test("an upstream that is too slow for its askers opens the breaker, askers who leave do not", async (t) => {
  const { fake, upstream, ask } = await startStill(t);
  fake.script({}, { kind: "hang", times: Infinity });
  for (let time = 0; time < BREAKER_FAILURES_MAX; time += 1) {
    const asker = new AbortController();
    const asked = ask(asker.signal);
    await fake.until(() => fake.requests.length === time + 1);
    asker.abort();
    await assert.rejects(asked, failsAs("aborted"));
  }
  assert.equal(upstream.available, true);
  for (let time = 0; time < BREAKER_FAILURES_MAX; time += 1) {
    await assert.rejects(ask(AbortSignal.timeout(20)), failsAs("aborted"));
  }
  assert.equal(upstream.available, false);
});

test("while the breaker tries, one question goes through and the others are refused", async (t) => {
  const { fake, clock, ask, failOften } = await startStill(t);
  fake.script({}, { kind: "status", status: 503, times: BREAKER_FAILURES_MAX });
  await failOften();
  clock.nowMs = BREAKER_OPEN_MIN_MS;
  let goOn = () => {};
  const until = new Promise<void>((resolve) => (goOn = resolve));
  fake.script({}, { kind: "answer", handler: async (_req, res) => until.then(() => void res.end()) });
  const probe = ask();
  await assert.rejects(ask(), failsAs("unavailable"));
  goOn();
  await probe;
  await ask();
});

test("a probe whose asker leaves makes room for the next", async (t) => {
  const { fake, clock, ask, failOften } = await startStill(t);
  fake.script({}, { kind: "status", status: 503, times: BREAKER_FAILURES_MAX }, { kind: "hang" });
  await failOften();
  clock.nowMs = BREAKER_OPEN_MIN_MS;
  const asker = new AbortController();
  const probe = ask(asker.signal);
  await fake.until(() => fake.requests.length === BREAKER_FAILURES_MAX + 1);
  asker.abort();
  await assert.rejects(probe, failsAs("aborted"));
  await ask();
});

test("transfers are refused by the same breaker", async (t) => {
  const { fake, upstream, image, failOften } = await startStill(t);
  fake.script({}, { kind: "status", status: 503, times: BREAKER_FAILURES_MAX });
  await failOften();
  await assert.rejects(upstream.openBlob(app, image.config.digest, undefined, patient()), failsAs("unavailable"));
});

test("while the breaker is open nobody waits for a slot only to be refused", { timeout: 10_000 }, async (t) => {
  const { fake, upstream, image, failOften } = await startStill(t, { registry: { transfersMax: 1 } });
  fake.script({ method: "GET" }, { kind: "stall", atByte: 1 });
  const { body } = await upstream.openBlob(app, image.config.digest, undefined, patient());
  fake.script({ method: "HEAD" }, { kind: "status", status: 503, times: BREAKER_FAILURES_MAX });
  await failOften();
  await assert.rejects(upstream.openBlob(app, image.config.digest, undefined, patient()), failsAs("unavailable"));
  body.destroy();
});

for (const [what, headers, pauseMs] of [
  ["that names no time", {}, RATE_LIMIT_PAUSE_MS],
  ["with Retry-After in seconds", { "retry-after": "7" }, 7000],
  ["that asks for a week", { "retry-after": "604800" }, RATE_LIMIT_PAUSE_MAX_MS],
] as const) {
  test(`a 429 ${what} is followed by a pause of ${pauseMs / 1000} s`, async (t) => {
    const { fake, clock, ask } = await startStill(t);
    fake.script({}, { kind: "status", status: 429, headers });
    await assert.rejects(ask(), failsAs("rate-limited", 429));
    clock.nowMs = pauseMs - 1;
    await assert.rejects(ask(), (error) => {
      assert.ok(failsAs("rate-limited", 429)(error));
      return error instanceof UpstreamError && error.retryAfterS === 1;
    });
    assert.equal(fake.requests.length, 1);
    clock.nowMs = pauseMs;
    await ask();
  });
}

test("no more questions at once than configured; the others wait and are answered", async (t) => {
  const { fake, ask } = await startStill(t, { registry: { questionsMax: 2 } });
  let goOn = () => {};
  const until = new Promise<void>((resolve) => (goOn = resolve));
  let now = 0;
  let most = 0;
  fake.script(
    {},
    {
      kind: "answer",
      times: Infinity,
      handler: async (_req, res) => {
        now += 1;
        most = Math.max(most, now);
        await until;
        now -= 1;
        res.end();
      },
    },
  );
  const asked = Array.from({ length: 6 }, () => ask());
  await fake.until(() => fake.requests.length === 2);
  goOn();
  await Promise.all(asked);
  assert.equal(most, 2);
  assert.equal(fake.requests.length, 6);
});

test("requests per second count at the registry and its token service, not at a content network", async (t) => {
  const { fake, upstream } = await startStill(t, {
    fake: { auth: "bearer", redirectBlobs: true },
    registry: { requestsPerSecond: 4 },
  });
  const digest = fake.addBlob(app, seededBytes(10));
  const { body } = await upstream.openBlob(app, digest, undefined, patient());
  assert.equal((await buffer(body)).length, 10);
  // Of the four at once three are spent: a 401, a token, a redirect.
  assert.equal((await upstream.getManifest(app, latest, patient())).digest !== undefined, true);
  const asker = new AbortController();
  const fifth = upstream.headManifest(app, latest, asker.signal);
  // The clock stands still, so its turn never comes.
  await assert.rejects(fake.until(() => fake.requests.length > 5, 200));
  asker.abort();
  await assert.rejects(fifth, failsAs("aborted"));
});

test("closing ends what is under way and refuses what comes after, however often it is called", async (t) => {
  const { fake, upstream, image, ask } = await startStill(t);
  fake.script({ method: "HEAD" }, { kind: "hang" });
  fake.script({ method: "GET" }, { kind: "stall", atByte: 1 });
  const { body } = await upstream.openBlob(app, image.config.digest, undefined, patient());
  const question = ask();
  await fake.until(() => fake.count({ method: "HEAD" }) === 1);
  const ended = Promise.all([
    assert.rejects(question, failsAs("aborted")),
    assert.rejects(buffer(body), failsAs("aborted")),
  ]);
  await Promise.all([upstream.close(), upstream.close()]);
  await ended;
  await assert.rejects(ask(), failsAs("aborted"));
  await fake.until(() => fake.connections("registry").open === 0);
});

test("closing lets go of connections that nobody uses", async (t) => {
  const { fake, upstream, ask } = await startStill(t);
  await ask();
  assert.equal(fake.connections("registry").open, 1);
  await upstream.close();
  await fake.until(() => fake.connections("registry").open === 0);
});

test("closing ends the wait for a turn", { timeout: 10_000 }, async (t) => {
  const { upstream, ask } = await startStill(t, { registry: { requestsPerSecond: 1 } });
  await ask();
  const ended = assert.rejects(ask(), failsAs("aborted"));
  await upstream.close();
  await ended;
});

test("closing ends the fetch of a token", async (t) => {
  const { fake, upstream, ask } = await startStill(t, { fake: { auth: "bearer" } });
  fake.script({ role: "token" }, { kind: "hang" });
  const question = ask();
  await fake.until(() => fake.count({ role: "token" }) === 1);
  const ended = assert.rejects(question, failsAs("aborted"));
  await upstream.close();
  await ended;
});
