/** What whoever counts is told of upstreams. */
import assert from "node:assert/strict";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { seededBytes } from "../../test/support/bytes.ts";
import type { FakeUpstreamOptions } from "../../test/support/fake-upstream.ts";
import type { HasAfter } from "../../test/support/temp.ts";
import {
  failsAs,
  HOSTS,
  lookupTest,
  name,
  patient,
  registryConfig,
  startBench,
  tag,
} from "../../test/support/upstreams.ts";
import { BREAKER_FAILURES_MAX, BREAKER_OPEN_MIN_MS } from "./breaker.ts";
import { createUpstreams } from "./create.ts";
import type { UpstreamObserver } from "./observer.ts";
import { Throughput } from "./throughput.ts";
import type { Upstream } from "./upstream.ts";

const app = name("team/app");
const latest = tag("latest");

/** Two registries at one place, and what is told of each. */
async function startTwins(t: HasAfter, fakeOptions: FakeUpstreamOptions = {}) {
  const { fake } = await startBench(t, { fake: fakeOptions });
  const told: string[] = [];
  const bytes = new Map<string, number>();
  const clock = { nowMs: 0 };
  const observer: UpstreamObserver = {
    answered: (id, { asked, method, status, ms }) => {
      assert.ok(ms >= 0);
      told.push(`${id} ${asked} ${method} ${status}`);
    },
    received: (id, asked, count) => bytes.set(`${id} ${asked}`, (bytes.get(`${id} ${asked}`) ?? 0) + count),
    tokenFetched: (id, { isGiven }) => told.push(`${id} token ${isGiven}`),
    failed: (id, asked, kind) => told.push(`${id} ${asked} failed ${kind}`),
    availability: (id, { isAvailable }) => told.push(`${id} ${isAvailable ? "available" : "broken"}`),
    quota: (id, { remaining }) => told.push(`${id} quota ${remaining}`),
  };
  const config = registryConfig({ upstream: fake.url, realms: [HOSTS.token] });
  const upstreams = createUpstreams(
    [
      { ...config, id: "ghcr" },
      { ...config, id: "lscr" },
    ],
    { version: "test", lookup: lookupTest, nowMs: () => clock.nowMs, observer },
  );
  t.after(async () => void (await Promise.all([...upstreams.values()].map((upstream) => upstream.close()))));
  const [ghcr, lscr] = ["ghcr", "lscr"].map((id) => upstreams.get(id)) as [Upstream, Upstream];
  return { fake, told, bytes, clock, ghcr, lscr };
}

test("bytes are counted for the registry that asked, to the byte, also where two lead to one upstream", async (t) => {
  const { fake, bytes, told, ghcr, lscr } = await startTwins(t, { redirectBlobs: true, auth: "bearer" });
  const image = fake.addImage(app, "latest");
  const blob = seededBytes(1_234_567, "counted");
  const digest = fake.addBlob(app, blob);
  await ghcr.getManifest(app, latest, patient());
  await lscr.getManifest(app, latest, patient());
  const { body } = await lscr.openBlob(app, digest, undefined, patient());
  await buffer(body);
  await ghcr.listTags(app, patient());
  const sentFor = (role: "registry" | "cdn", path: string) =>
    fake.requests
      .filter((one) => one.role === role && one.path.includes(path))
      .reduce((sum, one) => sum + one.bytesSent, 0);
  const total = [...bytes.values()].reduce((sum, count) => sum + count, 0);
  assert.equal(total, sentFor("registry", "/v2/") + sentFor("cdn", "/data/"));
  assert.equal(bytes.get("lscr manifest"), image.size);
  assert.ok((bytes.get("lscr blob") ?? 0) >= blob.length);
  assert.equal(bytes.get("ghcr blob"), undefined);
  // Tokens are the upstream's, which is told of as the first of the two.
  assert.deepEqual(
    told.filter((line) => line.includes("token")),
    ["ghcr token true"],
  );
  assert.ok(told.includes("lscr blob GET 307") && told.includes("lscr blob GET 200"), told.join("\n"));
});

test("what fails is told with its kind, and a transfer that breaks off too", async (t) => {
  const { fake, told, ghcr } = await startTwins(t);
  fake.addImage(app, "latest");
  const digest = fake.addBlob(app, seededBytes(300_000, "cut"));
  await assert.rejects(ghcr.headManifest(app, tag("none"), patient()), failsAs("not-found"));
  fake.script({ path: "/blobs/" }, { kind: "cut", atByte: 100_000 });
  const { body } = await ghcr.openBlob(app, digest, undefined, patient());
  await assert.rejects(buffer(body));
  const asker = new AbortController();
  asker.abort();
  await assert.rejects(ghcr.headManifest(app, latest, asker.signal));
  assert.deepEqual(told, [
    "ghcr manifest HEAD 404",
    "ghcr manifest failed not-found",
    "ghcr blob GET 200",
    "ghcr blob failed unreachable",
  ]);
});

test("an upstream that breaks, and comes back, is told of once for each registry that leads there", async (t) => {
  const { fake, told, clock, ghcr, lscr } = await startTwins(t);
  fake.addImage(app, "latest");
  await fake.stop();
  for (let time = 0; time < BREAKER_FAILURES_MAX; time += 1)
    await assert.rejects(ghcr.headManifest(app, latest, patient()), failsAs("unreachable"));
  assert.deepEqual(lscr.state().breaker, { kind: "open", because: "failures", forMs: BREAKER_OPEN_MIN_MS });
  clock.nowMs = BREAKER_OPEN_MIN_MS;
  // One question finds out that it is so still.
  await assert.rejects(lscr.headManifest(app, latest, patient()), failsAs("unreachable"));
  clock.nowMs = 10 * BREAKER_OPEN_MIN_MS;
  await fake.restart();
  await lscr.headManifest(app, latest, patient());
  const isWhole = (line: string) => / (?:broken|available)$/.test(line);
  assert.deepEqual(told.filter(isWhole), ["ghcr broken", "lscr broken", "ghcr available", "lscr available"]);
  assert.deepEqual(ghcr.state().breaker, { kind: "closed" });
});

test("a state says what is under way, and what waits for it", async (t) => {
  const release = Promise.withResolvers<void>();
  const { fake, ghcr } = await startTwins(t);
  fake.addImage(app, "latest");
  const hold = async () => await release.promise;
  fake.script(
    { path: "/manifests/" },
    { kind: "answer", handler: async (_, res) => void (await hold(), res.end()), times: Infinity },
  );
  const asked = Array.from({ length: 20 }, () => ghcr.headManifest(app, latest, patient()));
  await fake.until(() => fake.requests.length === 16);
  assert.deepEqual(ghcr.state().questions, { running: 16, waiting: 4 });
  release.resolve();
  await Promise.allSettled(asked);
  assert.deepEqual(ghcr.state().questions, { running: 0, waiting: 0 });
  assert.deepEqual(ghcr.state().transfers, { running: 0, waiting: 0 });
});

test("a rate is of the last ten seconds, whatever came before", () => {
  const clock = { nowMs: 5_500 };
  const throughput = new Throughput(() => clock.nowMs);
  throughput.add(1_000);
  clock.nowMs += 3_000;
  throughput.add(500);
  assert.equal(throughput.bytesPerSecond, 150);
  clock.nowMs += 7_000;
  assert.equal(throughput.bytesPerSecond, 50);
  clock.nowMs += 3_600_000;
  assert.equal(throughput.bytesPerSecond, 0);
});
