import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { Counters } from "../src/admin/counters/counters.ts";
import type { Counts } from "../src/admin/counters/counts.ts";
import { openSqliteCatalog } from "../src/catalog/sqlite.ts";
import type { Config } from "../src/config/config.ts";
import type { Digest } from "../src/oci/digest.ts";
import { HELD_BACK_BYTES } from "../src/pull/bytes.ts";
import { COUNTED_OUTCOMES, type CountedOutcome } from "../src/server/request-sums.ts";
import { seededBytes, sha256 } from "./support/bytes.ts";
import { testConfig, testRegistry } from "./support/cache.ts";
import { type CacheProcess, startCacheProcess } from "./support/cache-process.ts";
import { NO_FILES, selfSignedCertificate } from "./support/certificate.ts";
import { ask, type Ask, open, readSome } from "./support/client.ts";
import { type FakeUpstream, startFakeUpstream } from "./support/fake-upstream.ts";
import { eventually } from "./support/open-files.ts";
import { tempDir } from "./support/temp.ts";

const MIB = 1024 * 1024;
const TAGS = [
  { match: "rolling", revalidate: { kind: "always" } },
  { match: "*", revalidate: { kind: "after", ms: 3_600_000 } },
] as const;

/** What a client has got, counted by what answers themselves say. */
class Ledger {
  readonly requests = zeros();
  readonly bytes = zeros();
  pulls = 0;
  pullsSaved = 0;
  readonly #url: () => string;
  readonly #ca: string | undefined;

  constructor(url: () => string, ca: string | undefined) {
    this.#url = url;
    this.#ca = ca;
  }

  async ask(path: string, options: Ask = {}): Promise<void> {
    const answer = await ask(this.#url() + path, { ...options, ...this.#trust });
    const isPull = path.includes("/manifests/") && (options.method ?? "GET") === "GET" && answer.status === 200;
    this.note(outcomeOf(answer.status, String(answer.headers["cache-status"] ?? "")), answer.body.length, isPull);
  }

  /** So many clients at once; the rest comes when all have the beginning. */
  async crowd(path: string, count: number, goOn: () => void): Promise<void> {
    const opening = Array.from({ length: count }, async () => await open(this.#url() + path, this.#trust));
    const responses = await Promise.all(opening);
    goOn();
    for (const response of responses) {
      let bytes = 0;
      for await (const piece of response) bytes += (piece as Buffer).length;
      this.note(outcomeOf(200, String(response.headers["cache-status"])), bytes, false);
    }
  }

  /** Takes no more than the first bytes of the body. */
  async leaveAfter(path: string, bytes: number): Promise<void> {
    const response = await open(this.#url() + path, this.#trust);
    const got = await readSome(response, bytes);
    response.on("error", () => undefined);
    response.destroy();
    this.note(outcomeOf(200, String(response.headers["cache-status"])), got.length, false);
  }

  note(outcome: CountedOutcome, bytes: number, isPull: boolean): void {
    this.requests[outcome] += 1;
    this.bytes[outcome] += bytes;
    if (!isPull) return;
    this.pulls += 1;
    if (outcome !== "miss" && outcome !== "unkept") this.pullsSaved += 1;
  }

  get #trust(): Pick<Ask, "ca"> {
    return this.#ca === undefined ? {} : { ca: this.#ca };
  }
}

function zeros(): Record<CountedOutcome, number> {
  return Object.fromEntries(COUNTED_OUTCOMES.map((one) => [one, 0])) as Record<CountedOutcome, number>;
}

function outcomeOf(status: number, told: string): CountedOutcome {
  if (status >= 400) return status >= 500 ? "failed" : "refused";
  if (told === "") return "other";
  const detail = /detail=([a-z]+)/.exec(told)?.[1];
  if (told.includes("; hit")) return (detail ?? "hit") as CountedOutcome;
  if (told.includes("collapsed")) return "joined";
  return detail === "no-room" ? "unkept" : "miss";
}

/** Bodies of everything but tokens. */
function sent(upstream: FakeUpstream): number {
  return upstream.requests.reduce((sum, { role, bytesSent }) => (role === "token" ? sum : sum + bytesSent), 0);
}

async function countedIn(dataDir: string): Promise<Counts> {
  const catalog = await openSqliteCatalog(join(dataDir, "catalog.sqlite"));
  try {
    const counters = new Counters({ catalog, registries: [], log: { error: assert.fail } });
    const [total, ...others] = await counters.total();
    assert.deepEqual([total?.registryId, others], ["dockerhub", []]);
    const today = new Date().toISOString().slice(0, 10);
    const days = await counters.byDay(new Date(Date.now() - 24 * 3_600_000).toISOString().slice(0, 10), today);
    // A day of UTC may end meanwhile.
    if (days.length === 1) assert.deepEqual(days[0]?.registries[0]?.counts, total?.counts);
    return total?.counts as Counts;
  } finally {
    await catalog.close();
  }
}

interface Setting {
  readonly workers: number;
  readonly tls?: boolean;
}

async function setUp(t: TestContext, { workers, tls = false }: Setting) {
  const upstream = await startFakeUpstream({ auth: "bearer", redirectBlobs: true });
  t.after(async () => await upstream.stop());
  const certificate = tls ? { ...selfSignedCertificate(), files: NO_FILES } : undefined;
  const config: Config = testConfig(await tempDir(t), [testRegistry(upstream.url, { tags: TAGS })], {
    workers,
    tls: certificate,
  });
  let cache: CacheProcess = await startCacheProcess(t, config);
  const start = async () => void (cache = await startCacheProcess(t, config));
  const url = () => (tls ? cache.url.replace(/^http:/, "https:") : cache.url);
  return { upstream, config, start, cache: () => cache, ledger: new Ledger(url, certificate?.cert) };
}

/** So that what was fetched is known to be held. */
async function held(upstream: FakeUpstream, ledger: Ledger, path: string): Promise<void> {
  const before = ledger.requests.hit;
  await eventually(async () => {
    await ledger.ask(path, { method: "HEAD" });
    return ledger.requests.hit > before;
  });
  assert.ok(upstream.requests.every(({ status }) => status < 500));
}

const repository = "/v2/library/app";
const blob = (digest: Digest) => `${repository}/blobs/${digest}`;

async function morning(upstream: FakeUpstream, ledger: Ledger): Promise<void> {
  const image = upstream.addImage("library/app", "1", { layers: [3 * MIB + 1, 10_000] });
  const index = upstream.addIndex("library/app", "multi", ["linux/amd64", "linux/arm64/v8"]);
  await ledger.ask("/v2/");
  for (const path of ["manifests/1", "manifests/1", `manifests/${image.digest}`, "manifests/multi"])
    await ledger.ask(`${repository}/${path}`);
  await ledger.ask(`${repository}/manifests/${index.images[0]?.digest}`);
  await ledger.ask(`${repository}/manifests/1`, { method: "HEAD" });
  await ledger.ask(`${repository}/manifests/1`, { headers: { "If-None-Match": `"${image.digest}"` } });
  await ledger.ask(`${repository}/manifests/1`, { headers: { Range: "bytes=5-9" } });
  for (const { digest, size } of [image.config, ...image.layers]) {
    await ledger.ask(blob(digest));
    await held(upstream, ledger, blob(digest));
    await ledger.ask(blob(digest));
    await ledger.ask(blob(digest), { headers: { Range: `bytes=${size - 10}-` } });
    await ledger.ask(blob(digest), { headers: { Range: "bytes=0-9,20-29,-7" } });
    await ledger.ask(blob(digest), { headers: { Range: `bytes=${size}-` } });
  }
  for (const path of ["tags/list", "tags/list", `referrers/${image.digest}`]) await ledger.ask(`${repository}/${path}`);
  await ledger.ask("/v2/_catalog");
}

async function noon(upstream: FakeUpstream, ledger: Ledger): Promise<void> {
  // A crowd.
  const released = Promise.withResolvers<void>();
  const layer = upstream.addBlob("library/app", seededBytes(2 * MIB));
  upstream.script({ role: "cdn" }, { kind: "hold", atByte: MIB, until: released.promise });
  await ledger.crowd(blob(layer), 5, () => released.resolve());
  await held(upstream, ledger, blob(layer));
  // One who leaves with all that there is to be had until then.
  const going = Promise.withResolvers<void>();
  const large = upstream.addBlob("library/app", seededBytes(4 * MIB, 7));
  upstream.script({ role: "cdn" }, { kind: "hold", atByte: 2 * MIB, until: going.promise });
  await ledger.leaveAfter(blob(large), 2 * MIB - HELD_BACK_BYTES);
  going.resolve();
  await held(upstream, ledger, blob(large));
  // Somebody who asks for what is not there.
  await ledger.ask(`${repository}/manifests/none`);
  await ledger.ask(blob(sha256(Buffer.from("nowhere"))));
}

async function evening(upstream: FakeUpstream, ledger: Ledger): Promise<void> {
  upstream.addImage("library/app", "rolling");
  for (let round = 0; round < 3; round += 1) await ledger.ask(`${repository}/manifests/rolling`);
  const broken = upstream.script({ path: "/manifests/" }, { kind: "status", status: 503, times: Infinity });
  await ledger.ask(`${repository}/manifests/rolling`);
  await ledger.ask(`${repository}/manifests/new`);
  broken.remove();
}

function assertAgree(counts: Counts, ledger: Ledger, upstream: FakeUpstream): void {
  assert.deepEqual(counts.requests, ledger.requests);
  assert.deepEqual(counts.bytesServed, ledger.bytes);
  assert.deepEqual([counts.pulls, counts.pullsSaved], [ledger.pulls, ledger.pullsSaved]);
  const { hit, revalidated, stale, joined, quarantined } = ledger.bytes;
  assert.equal(counts.bytesSaved, hit + revalidated + stale + joined + quarantined);
  assert.equal(counts.bytesFetched, sent(upstream));
}

describe("a day of traffic comes to the same, to the byte, at clients, at the upstream and in the counters:", () => {
  for (const setting of [{ workers: 1 }, { workers: 2 }, { workers: 2, tls: true }]) {
    test(`${setting.workers} workers${setting.tls === true ? " with TLS" : ""}, with a restart in between`, async (t) => {
      const { upstream, config, start, cache, ledger } = await setUp(t, setting);
      await morning(upstream, ledger);
      await noon(upstream, ledger);
      assert.equal(await cache().terminate(), 0);
      assertAgree(await countedIn(config.dataDir), ledger, upstream);
      await start();
      await ledger.ask(`${repository}/manifests/1`);
      await evening(upstream, ledger);
      assert.equal(await cache().terminate(), 0);
      const counts = await countedIn(config.dataDir);
      assertAgree(counts, ledger, upstream);
      // Three of an image, a crowd's, that of the one who left, and what the upstream did not have.
      assert.deepEqual(counts.fills, { begun: 6, done: 5, failed: 1, unkept: 0, paused: 0 });
      for (const outcome of ["revalidated", "stale", "miss", "joined", "refused", "failed", "other"] as const)
        assert.ok(ledger.requests[outcome] > 0, outcome);
    });
  }
});

/** Asks so often, and waits until the counters on the disk say so. */
async function settled(dataDir: string, ledger: Ledger, times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) await ledger.ask(`${repository}/manifests/1`);
  await eventually(async () => (await countedIn(dataDir).catch(() => undefined))?.pulls === ledger.pulls);
}

for (const workers of [1, 2]) {
  test(`who is killed loses the last seconds, and nothing is counted twice afterwards: ${workers} workers`, async (t) => {
    const { upstream, config, start, cache, ledger } = await setUp(t, { workers });
    const { size } = upstream.addImage("library/app", "1");
    await settled(config.dataDir, ledger, 10);
    const kept = ledger.pulls;
    for (let time = 0; time < 10; time += 1) await ledger.ask(`${repository}/manifests/1`);
    const most = ledger.pulls;
    await cache().kill();
    await start();
    for (let time = 0; time < 3; time += 1) await ledger.ask(`${repository}/manifests/1`);
    assert.equal(await cache().terminate(), 0);
    const { pulls, bytesServed } = await countedIn(config.dataDir);
    assert.ok(pulls >= kept + 3 && pulls <= most + 3, `${pulls} of ${kept} and ${most}`);
    const served = Object.values(bytesServed).reduce((sum, bytes) => sum + bytes, 0);
    assert.equal(served, pulls * size);
  });
}

test("a front that is killed takes nothing with it that it has told", async (t) => {
  const { upstream, config, cache, ledger } = await setUp(t, { workers: 2 });
  upstream.addImage("library/app", "1");
  await settled(config.dataDir, ledger, 10);
  const { pid } = cache();
  const fronts = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim().split(" ");
  assert.equal(fronts.length, 2);
  process.kill(Number(fronts[0]), "SIGKILL");
  for (let time = 0; time < 5; time += 1) await ledger.ask(`${repository}/manifests/1`);
  assert.equal(await cache().terminate(), 0);
  const { pulls } = await countedIn(config.dataDir);
  assert.equal(pulls, ledger.pulls);
});
