import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { FAMILIES, PREFIX } from "../src/admin/metrics/families.ts";
import type { ApiReaders, Config } from "../src/config/config.ts";
import { testRegistry } from "./support/cache.ts";
import { hashPassword } from "../src/access/new-user.ts";
import { selfSignedCertificate } from "./support/certificate.ts";
import { ask } from "./support/client.ts";
import { type ExposedFamily, lintFamily, parseExposition, valueOf } from "./support/exposition.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import { eventually } from "./support/open-files.ts";
import { tempDir } from "./support/temp.ts";
import { basic, startWhole } from "./support/whole.ts";

type Families = ReadonlyMap<string, ExposedFamily>;

async function setUp(t: TestContext, workers: number, config: Partial<Config> = {}) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const image = upstream.addImage("library/nginx", "latest", { layers: [300_000] });
  const quay = testRegistry("http://127.0.0.1:9", { id: "quay", serves: "quay.io", aliases: [], libraryPrefix: false });
  const cache = await startWhole(t, [testRegistry(upstream.url), quay], { workers, config });
  return { upstream, image, cache, metrics: async () => await metricsOf(cache.url) };
}

async function metricsOf(url: string): Promise<Families> {
  const { status, headers, body } = await ask(`${url}/metrics`);
  assert.equal(status, 200, body.toString());
  assert.equal(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
  assert.equal(headers["cache-control"], "no-store");
  return parseExposition(body.toString());
}

/** Until what was counted elsewhere has come. */
async function settled(
  metrics: () => Promise<Families>,
  isSettled: (families: Families) => boolean,
): Promise<Families> {
  let families = await metrics();
  await eventually(async () => isSettled((families = await metrics())));
  return families;
}

for (const workers of [1, 2]) {
  const by = `with ${workers} worker${workers === 1 ? "" : "s"}`;

  test(`${by} the counters are what clients and upstream have seen, to the byte`, async (t) => {
    const { upstream, image, cache, metrics } = await setUp(t, workers);
    const paths = ["manifests/latest", `blobs/${image.layers[0]?.digest}`, `blobs/${image.config.digest}`];
    let [served, asked] = [0, 1];
    for (const round of [1, 2, 3]) {
      for (const path of paths) {
        const url = `${cache.url}/v2/library/nginx/${path}`;
        await eventually(async () => {
          const { status, headers, body } = await ask(url);
          assert.equal(status, 200);
          served += body.length;
          asked += 1;
          return round === 1 || String(headers["cache-status"]).includes("; hit");
        });
      }
    }
    assert.equal((await ask(`${cache.url}/v2/library/absent/manifests/latest`)).status, 404);
    const registry = "dockerhub";
    const families = await settled(metrics, (now) => valueOf(now, `${PREFIX}requests_total`, { registry }) === asked);
    const value = (name: string, labels = {}) => valueOf(families, PREFIX + name, { registry, ...labels });
    const refused = value("served_bytes_total", { outcome: "refused" });
    assert.equal(value("served_bytes_total") - refused, served);
    const sent = upstream.requests.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
    assert.equal(value("fetched_bytes_total"), sent);
    const held = image.bytes.length + image.config.bytes.length + (image.layers[0]?.bytes.length ?? 0);
    assert.ok(sent > held);
    assert.deepEqual([value("held_bytes"), value("held_contents")], [held, 3]);
    assert.equal(valueOf(families, `${PREFIX}stored_bytes`), held);
    assert.equal(value("requests_total", { outcome: "miss" }), 3);
    assert.equal(value("requests_total", { outcome: "refused" }), 1);
    assert.equal(value("pulls_total") - value("pulls_saved_total"), 1);
    assert.equal(value("fills_total", { result: "done" }), 2);
    const timed = (kind: string, source: string) => value("first_byte_seconds_count", { kind, source });
    const followed = value("requests_total", { outcome: "joined" });
    assert.deepEqual([timed("manifest", "upstream"), timed("blob", "upstream")], [1, 2 + followed]);
    assert.equal(timed("manifest", "cache") + timed("blob", "cache"), value("requests_total", { outcome: "hit" }));
    assert.ok(value("upstream_answers_total", { asked: "manifest", code: "2xx" }) >= 1);
    assert.ok(value("upstream_answers_total", { asked: "blob", code: "2xx" }) >= 2);
    assert.equal(value("upstream_available"), 1);
    assert.equal(value("held_tags"), 1);
    assert.equal(valueOf(families, `${PREFIX}events_total`, { event: "digest.new" }), 1);
  });

  test(`${by} every process tells how it fares`, async (t) => {
    const { metrics } = await setUp(t, workers);
    const families = await metrics();
    const names = families.get(`${PREFIX}process_open_fds`)?.samples.map(({ labels }) => labels["process"]);
    assert.deepEqual(names, workers === 1 ? ["owner"] : ["owner", "front-1", "front-2"]);
    for (const { value } of families.get(`${PREFIX}process_resident_memory_bytes`)?.samples ?? []) {
      assert.ok(value > 10 * 1024 * 1024);
    }
    assert.equal(valueOf(families, `${PREFIX}workers`), workers);
    await settled(metrics, (now) => valueOf(now, `${PREFIX}event_loop_lag_seconds_count`, { process: "owner" }) > 0);
  });

  test(`${by} what is told is well formed, and has no label that a client makes up`, async (t) => {
    const { cache, metrics } = await setUp(t, workers);
    const made = "made-up-by-a-client";
    for (const path of [`library/${made}/manifests/${made}`, `quay.io/${made}/manifests/1`, `${made}/tags/list`]) {
      await ask(`${cache.url}/v2/${path}`);
    }
    await ask(`${cache.url}/v2/`, { method: made.toUpperCase() }).catch(() => undefined);
    const families = await settled(metrics, (now) => valueOf(now, `${PREFIX}upstream_failures_total`) > 0);
    assert.deepEqual([...families.values()].flatMap(lintFamily), []);
    const values = [...families.values()].flatMap(({ samples }) =>
      samples.flatMap(({ labels }) => Object.values(labels)),
    );
    assert.deepEqual(
      values.filter((value) => value.includes("made-up")),
      [],
    );
    for (const name of families.keys()) assert.ok(name.slice(PREFIX.length) in FAMILIES, name);
  });
}

/** What is there once something has happened. */
const OF_TRAFFIC = [
  "first_byte_seconds",
  "response_seconds",
  "upstream_answers_total",
  "upstream_failures_total",
  "upstream_answer_seconds",
  "token_fetches_total",
  "quota_limit_pulls",
  "quota_remaining_pulls",
  "held_bytes",
  "held_contents",
  "evictions_total",
  "eviction_bytes_total",
  "webhook_events_total",
  "webhook_waiting_events",
];

test("without traffic, and with a certificate, everything that does not depend on it is there", async (t) => {
  const tls = selfSignedCertificate();
  const { cache } = await setUp(t, 1, { tls: { ...tls, files: { cert: "", key: "" } }, maxSizeBytes: 5_000_000_000 });
  const { body } = await ask(`${cache.url}/metrics`, { ca: tls.cert });
  const families = parseExposition(body.toString());
  const expiry = valueOf(families, `${PREFIX}certificate_expiry_timestamp_seconds`, { name: "default" });
  assert.ok(expiry > Date.now() / 1_000);
  assert.ok(valueOf(families, `${PREFIX}certificate_not_before_timestamp_seconds`) <= Date.now() / 1_000);
  assert.equal(valueOf(families, `${PREFIX}budget_bytes`, { scope: "all" }), 5_000_000_000);
  assert.ok(valueOf(families, `${PREFIX}disk_free_bytes`) > 0);
  assert.equal(valueOf(families, `${PREFIX}collector_failures_total`), 0);
  const absent = Object.keys(FAMILIES).filter((name) => !families.has(PREFIX + name));
  assert.deepEqual(absent, OF_TRAFFIC);
  assert.equal(families.get(`${PREFIX}requests_total`)?.samples.filter(({ value }) => value === 0).length, 20);
});

test("the counters survive a restart, what is measured begins anew", async (t) => {
  const { image, cache, metrics } = await setUp(t, 1);
  void image;
  await ask(`${cache.url}/v2/library/nginx/manifests/latest`);
  const before = await metrics();
  const again = await (cache as unknown as { restart(): Promise<{ url: string }> }).restart();
  const after = await metricsOf(again.url);
  const counters = ["requests_total", "served_bytes_total", "fetched_bytes_total", "pulls_total"];
  for (const name of counters) {
    assert.ok(valueOf(before, PREFIX + name) > 0, name);
    assert.equal(valueOf(after, PREFIX + name), valueOf(before, PREFIX + name), name);
  }
  assert.equal(valueOf(after, `${PREFIX}first_byte_seconds_count`), 0);
});

const READERS: readonly (readonly [ApiReaders, readonly number[]])[] = [
  ["open", [200, 200, 200]],
  ["pullers", [401, 200, 200]],
  ["admins", [401, 403, 200]],
];

const as = (user: string) => ({ authorization: basic(user, "correct horse") });

for (const [readers, expected] of READERS) {
  test(`api.metrics: ${readers} is kept to`, async (t) => {
    const htpasswd = join(await tempDir(t), "users.htpasswd");
    const users = ["ci", "ops"].map(async (name) => `${name}:${await hashPassword("correct horse")}\n`);
    await writeFile(htpasswd, (await Promise.all(users)).join(""));
    const upstream = await startFakeUpstream();
    t.after(async () => await upstream.stop());
    const api = { hostnames: [], read: "pullers", metrics: readers, admins: ["ops"] } as const;
    const cache = await startWhole(t, [testRegistry(upstream.url)], {
      config: { api },
      access: { anonymous: false, htpasswd },
    });
    const statuses = [];
    for (const headers of [{}, as("ci"), as("ops")]) {
      statuses.push((await ask(`${cache.url}/metrics`, { headers: { ...headers } })).status);
    }
    assert.deepEqual(statuses, expected);
    assert.equal((await ask(`${cache.url}/metrics`, { method: "POST", headers: as("ops") })).status, 405);
  });
}
