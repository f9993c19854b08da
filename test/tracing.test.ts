import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { hashSync } from "bcryptjs";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { context, propagation, SpanStatusCode } from "@opentelemetry/api";
import { pino } from "pino";
import type { Config } from "../src/config/config.ts";
import { OPEN_ACCESS, startCache, testRegistry } from "./support/cache.ts";
import { ask } from "./support/client.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import { eventually } from "./support/open-files.ts";
import { type HasAfter, tempDir } from "./support/temp.ts";
import { startTracing, treeOf } from "./support/tracing.ts";
import { basic } from "./support/whole.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const CALLER = "b7ad6b7169203331";
const TRACEPARENT = { traceparent: `00-${TRACE}-${CALLER}-01`, tracestate: "vendor=secret" };

async function setUp(t: HasAfter, config: Partial<Config> = {}) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const image = upstream.addImage("library/nginx", "latest");
  const lines: string[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => void lines.push(line) });
  const cache = await startCache(t, [testRegistry(upstream.url)], { log, config });
  return { upstream, image, cache, lines };
}

test("a pull by miss is one trace: what was decided, what upstream was asked, what was kept", async (t) => {
  const exporter = startTracing(t);
  const { cache, lines } = await setUp(t);
  const answer = await ask(`${cache.url}/v2/library/nginx/manifests/latest`, { headers: TRACEPARENT });
  assert.equal(answer.status, 200);
  await cache.app.idle();
  await eventually(async () => exporter.getFinishedSpans().some(({ name }) => name === "GET manifest"));
  const spans = exporter.getFinishedSpans();
  assert.deepEqual(treeOf(spans), [
    "GET manifest",
    "  pull manifest",
    "    upstream GET manifest",
    "    store putBlob",
    "    store link",
    "    store setTag",
  ]);
  const server = spans.find(({ name }) => name === "GET manifest");
  assert.equal(server?.spanContext().traceId, TRACE);
  assert.equal(server?.parentSpanContext?.spanId, CALLER);
  assert.equal(server?.attributes["registry_cache.outcome"], "miss");
  assert.equal(server?.attributes["http.response.status_code"], 200);
  assert.equal(server?.attributes["registry_cache.repository"], "library/nginx");
  const line = lines.map((one) => JSON.parse(one) as Record<string, unknown>).find(({ msg }) => msg === "request");
  assert.equal(line?.["traceId"], TRACE);
});

test("a blob's fill is a span of its own, open until it has ended", async (t) => {
  const exporter = startTracing(t);
  const { cache, image } = await setUp(t);
  const [layer] = image.layers;
  assert.equal((await ask(`${cache.url}/v2/library/nginx/blobs/${layer?.digest}`)).status, 200);
  await cache.app.idle();
  await eventually(async () => exporter.getFinishedSpans().some(({ name }) => name === "GET blob"));
  assert.deepEqual(treeOf(exporter.getFinishedSpans()), [
    "GET blob",
    "  pull blob",
    "    store openBlob",
    "    fill",
    "      upstream GET blob",
    "      store commit",
    "      store openBlob",
    "      store link",
  ]);
});

test("who is asking is a span of its own where that has to be found out", async (t) => {
  const exporter = startTracing(t);
  const htpasswd = join(await tempDir(t), "users.htpasswd");
  await writeFile(htpasswd, `me:${hashSync("correct horse", 4)}\n`);
  const { cache } = await setUp(t, { access: { ...OPEN_ACCESS, anonymous: false, htpasswd } });
  const headers = { authorization: basic("me", "correct horse") };
  assert.equal((await ask(`${cache.url}/v2/library/nginx/manifests/latest`, { headers })).status, 200);
  await eventually(async () => exporter.getFinishedSpans().some(({ name }) => name === "GET manifest"));
  assert.deepEqual(treeOf(exporter.getFinishedSpans()).slice(0, 3), ["GET manifest", "  access", "  pull manifest"]);
  const attributes = exporter.getFinishedSpans().flatMap((span) => Object.values(span.attributes));
  assert.doesNotMatch(JSON.stringify(attributes), /correct horse|Basic/);
});

test("a failing upstream shows in its span, and in no message", async (t) => {
  const exporter = startTracing(t);
  const { cache } = await setUp(t);
  assert.equal((await ask(`${cache.url}/v2/library/absent/manifests/latest`)).status, 404);
  await eventually(async () => exporter.getFinishedSpans().some(({ name }) => name === "GET manifest"));
  const asked = exporter.getFinishedSpans().find(({ name }) => name === "upstream GET manifest");
  assert.equal(asked?.attributes["error.type"], "not-found");
  assert.deepEqual(asked?.status, { code: SpanStatusCode.ERROR });
});

/** As instruments of HTTP clients do that a user may have loaded beside the SDK. */
function injectIntoRequests(t: HasAfter): void {
  const inject = (message: unknown) => {
    const { request } = message as { request: { addHeader(name: string, value: string): void } };
    const headers: Record<string, string> = {};
    propagation.inject(context.active(), headers);
    for (const [name, value] of Object.entries(headers)) request.addHeader(name, value);
  };
  subscribe(CREATED, inject);
  t.after(async () => void unsubscribe(CREATED, inject));
}

const CREATED = "undici:request:create";

test("upstreams are told nothing of traces, whatever instruments are loaded beside us", async (t) => {
  startTracing(t);
  injectIntoRequests(t);
  const { cache, upstream, image } = await setUp(t);
  const [layer] = image.layers;
  for (const path of ["manifests/latest", `blobs/${layer?.digest}`, "tags/list"]) {
    const answer = await ask(`${cache.url}/v2/library/nginx/${path}`, { headers: TRACEPARENT });
    assert.equal(answer.status, 200);
  }
  assert.ok(upstream.requests.length >= 3);
  const names = upstream.requests.flatMap(({ headers }) => Object.keys(headers));
  assert.deepEqual(
    names.filter((name) => /trace|baggage|b3/.test(name)),
    [],
  );
});

test("without an SDK nothing is wrapped, and no line has a trace", async (t) => {
  const { cache, lines } = await setUp(t);
  await ask(`${cache.url}/v2/library/nginx/manifests/latest`, { headers: TRACEPARENT });
  await eventually(async () => lines.some((line) => line.includes('"request"')));
  assert.doesNotMatch(lines.join(""), /traceId/);
});
