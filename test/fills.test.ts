import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { startCache, type TestCache, testRegistry } from "./support/cache.ts";
import { ask, open, readSome } from "./support/client.ts";
import { seededBytes, sha256 } from "./support/bytes.ts";
import { type FakeUpstream, type FakeUpstreamOptions, startFakeUpstream } from "./support/fake-upstream.ts";
import type { Digest } from "../src/oci/digest.ts";
import type { Config, RegistryConfig } from "../src/config/config.ts";

const MIB = 1024 * 1024;
const HELD_BACK = 64 * 1024;

interface SetUp {
  upstream: FakeUpstream;
  cache: TestCache;
  bytes: Buffer;
  digest: Digest;
  url: string;
}

async function setUp(
  t: Parameters<typeof startCache>[0],
  size = 4 * MIB,
  options: { upstream?: FakeUpstreamOptions; registry?: Partial<RegistryConfig>; config?: Partial<Config> } = {},
): Promise<SetUp> {
  const upstream = await startFakeUpstream(options.upstream ?? {});
  t.after(async () => await upstream[Symbol.asyncDispose]());
  const bytes = seededBytes(size, 7);
  const digest = upstream.addBlob("library/app", bytes);
  const cache = await startCache(t, [testRegistry(upstream.url, options.registry)], { config: options.config ?? {} });
  return { upstream, cache, bytes, digest, url: `${cache.url}/v2/library/app/blobs/${digest}` };
}

const BLOB_GET = { method: "GET", path: "/blobs/" } as const;

async function spoolFiles(cache: TestCache): Promise<string[]> {
  return await readdir(join(cache.dataDir, "spool"));
}

function gate(): { promise: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { promise, open: resolve };
}

test("a cold blob crosses the internet once and comes from disk afterwards, also without upstream", async (t) => {
  const { upstream, cache, bytes, digest, url } = await setUp(t);
  const cold = await ask(url);
  assert.equal(cold.status, 200);
  assert.ok(cold.body.equals(bytes));
  assert.equal(cold.headers["cache-status"], "registry-cache; fwd=miss; stored");
  assert.equal(cold.headers["content-length"], String(bytes.length));
  assert.equal(cold.headers["docker-content-digest"], digest);
  assert.equal(cold.headers["etag"], `"${digest}"`);
  await cache.app.idle();
  await upstream.stop();
  const warm = await ask(url);
  assert.ok(warm.body.equals(bytes));
  assert.equal(warm.headers["cache-status"], "registry-cache; hit");
  assert.equal(upstream.count(BLOB_GET), 1);
  assert.deepEqual(await spoolFiles(cache), []);
});

test("the first bytes reach the client while upstream still holds the rest", async (t) => {
  const { upstream, bytes, url } = await setUp(t);
  const rest = gate();
  upstream.script(BLOB_GET, { kind: "hold", atByte: 1 * MIB, until: rest.promise });
  const response = await open(url);
  const early = await readSome(response, 1 * MIB - 2 * HELD_BACK);
  assert.ok(bytes.subarray(0, early.length).equals(early));
  rest.open();
  const late = Buffer.concat(await response.toArray());
  assert.ok(Buffer.concat([early, late]).equals(bytes));
});

test("the end of a blob is withheld until the digest is verified", async (t) => {
  const { upstream, bytes, url } = await setUp(t, 1 * MIB);
  const rest = gate();
  upstream.script(BLOB_GET, { kind: "hold", atByte: 1 * MIB - 1, until: rest.promise });
  const response = await open(url);
  const pieces: Buffer[] = [];
  let count = 0;
  response.on("data", (piece: Buffer) => {
    pieces.push(piece);
    count += piece.length;
  });
  await upstream.until(() => upstream.requests.some((one) => one.bytesSent === 1 * MIB - 1));
  while (count < 1 * MIB - 2 * HELD_BACK) await new Promise((resolve) => response.once("data", resolve));
  // One more turn of everything: what could have been sent has been.
  await ask(url.replace(/\/v2\/.*/, "/healthz"));
  assert.ok(count <= 1 * MIB - 1 - HELD_BACK, `${count} bytes were given out`);
  rest.open();
  await new Promise((resolve) => response.once("end", resolve));
  assert.ok(Buffer.concat(pieces).equals(bytes));
});

test("a corrupt byte never completes at a client and never enters the store", async (t) => {
  const { upstream, cache, bytes, url } = await setUp(t);
  upstream.script(BLOB_GET, { kind: "corrupt", atByte: 100 });
  const broken = await ask(url);
  assert.equal(broken.status, 200);
  assert.equal(broken.isWhole, false);
  await cache.app.idle();
  assert.deepEqual(await spoolFiles(cache), []);
  const healed = await ask(url);
  assert.ok(healed.body.equals(bytes));
});

test("a corrupt small blob is an error response, since nothing was sent before it was verified", async (t) => {
  const { upstream, bytes, url } = await setUp(t, 1_000);
  upstream.script(BLOB_GET, { kind: "corrupt", atByte: 100 });
  assert.equal((await ask(url)).status, 502);
  assert.ok((await ask(url)).body.equals(bytes));
});

test("a wrong length, an HTML page and a compressed body are refused and not kept", async (t) => {
  const { upstream, cache, bytes, url } = await setUp(t, 1_000);
  for (const fault of [{ kind: "html" }, { kind: "gzip" }, { kind: "short" }, { kind: "long" }] as const) {
    upstream.script(BLOB_GET, fault);
    const answer = await ask(url);
    assert.equal(answer.status, 502, fault.kind);
    await cache.app.idle();
    assert.deepEqual(await spoolFiles(cache), [], fault.kind);
  }
  assert.ok((await ask(url)).body.equals(bytes));
});

test("upstream cut at 50 %: the client still gets a whole, right blob, resumed by Range", async (t) => {
  const { upstream, bytes, url } = await setUp(t);
  upstream.script(BLOB_GET, { kind: "cut", atByte: 2 * MIB });
  const answer = await ask(url);
  assert.equal(answer.isWhole, true);
  assert.ok(answer.body.equals(bytes));
  const resumed = upstream.requests.filter((one) => one.path.includes("/blobs/") && one.headers.range !== undefined);
  assert.equal(resumed.length, 1);
  assert.match(String(resumed[0]?.headers.range), /^bytes=[1-9]\d+-$/);
});

test("an upstream that cuts again and again, and one that ignores Range, are resumed too", async (t) => {
  const { upstream, bytes, url } = await setUp(t);
  upstream.script(BLOB_GET, { kind: "cut", atByte: 1 * MIB, times: 3 });
  upstream.script(BLOB_GET, { kind: "noRange", times: 1 });
  assert.ok((await ask(url)).body.equals(bytes));
});

test("a resume that continues at another byte, or of another total, ends the fill", async (t) => {
  for (const range of ["bytes 5-4194303/4194304", "bytes 2097152-4194303/5000000"]) {
    const { upstream, url } = await setUp(t);
    upstream.script(BLOB_GET, { kind: "cut", atByte: 2 * MIB });
    upstream.script(
      { ...BLOB_GET, ranged: true },
      { kind: "headers", set: { "Content-Range": range }, times: Infinity },
    );
    const answer = await ask(url);
    assert.equal(answer.isWhole, false, range);
  }
});

test("a client that leaves at 50 % does not end the fill", async (t) => {
  const { upstream, cache, bytes, url } = await setUp(t);
  const rest = gate();
  upstream.script(BLOB_GET, { kind: "hold", atByte: 2 * MIB, until: rest.promise });
  const response = await open(url);
  await readSome(response, 1 * MIB);
  response.destroy();
  rest.open();
  await cache.app.idle();
  await upstream.stop();
  const answer = await ask(url);
  assert.equal(answer.headers["cache-status"], "registry-cache; hit");
  assert.ok(answer.body.equals(bytes));
});

test("latecomers join the running fill and get the blob from its first byte", async (t) => {
  const { upstream, bytes, url } = await setUp(t);
  const rest = gate();
  upstream.script(BLOB_GET, { kind: "hold", atByte: 2 * MIB, until: rest.promise });
  const first = await open(url);
  await readSome(first, 1 * MIB);
  const late = await open(url);
  assert.match(String(late.headers["cache-status"]), /collapsed/);
  const early = await readSome(late, 1 * MIB);
  rest.open();
  const all = Buffer.concat([early, ...((await late.toArray()) as Buffer[])]);
  assert.ok(all.equals(bytes));
  first.destroy();
  assert.equal(upstream.count(BLOB_GET), 1);
});

test("a partial survives a restart and is resumed by Range after its prefix was hashed", async (t) => {
  const { upstream, cache, bytes, digest, url } = await setUp(t);
  upstream.script(BLOB_GET, { kind: "stall", atByte: 2 * MIB });
  const response = await open(url);
  await readSome(response, 1 * MIB);
  response.destroy();
  await cache.stop();
  const partials = await spoolFiles(cache);
  assert.equal(partials.length, 2, "the partial and its origin");
  const origin = JSON.parse(await readFile(join(cache.dataDir, "spool", partials[1] as string), "utf8")) as object;
  assert.deepEqual(origin, { registryId: "dockerhub", repository: "docker.io/library/app", ...origin });
  const again = await cache.restart();
  const answer = await ask(`${again.url}/v2/library/app/blobs/${digest}`);
  assert.ok(answer.body.equals(bytes));
  const ranges = upstream.requests.map((one) => one.headers.range).filter((range) => range !== undefined);
  assert.equal(ranges.length, 1);
  assert.ok(Number(/^bytes=(\d+)-$/.exec(String(ranges[0]))?.[1]) >= 1 * MIB);
  await again.app.idle();
  assert.deepEqual(await spoolFiles(again), []);
});

test("a partial with wrong bytes is never served whole, and the next request starts anew", async (t) => {
  const { upstream, cache, bytes, digest } = await setUp(t);
  await cache.stop();
  const spool = join(cache.dataDir, "spool", digest.replace(":", "-"));
  await writeFile(`${spool}.json`, JSON.stringify({ registryId: "dockerhub", repository: "docker.io/library/app" }));
  await writeFile(spool, seededBytes(1 * MIB, "other"));
  const again = await cache.restart();
  const url = `${again.url}/v2/library/app/blobs/${digest}`;
  assert.equal((await ask(url)).isWhole, false);
  assert.ok((await ask(url)).body.equals(bytes));
  assert.equal(upstream.count({ ...BLOB_GET, ranged: false }), 1);
});

test("Range on a cold blob gets 206: from the spool when near", async (t) => {
  const { upstream, bytes, url } = await setUp(t);
  const answer = await ask(url, { headers: { Range: "bytes=1048576-2097151" } });
  assert.equal(answer.status, 206);
  assert.equal(answer.headers["content-range"], `bytes 1048576-2097151/${bytes.length}`);
  assert.ok(answer.body.equals(bytes.subarray(1 * MIB, 2 * MIB)));
  assert.equal(upstream.count(BLOB_GET), 1);
});

test("Range on a cold blob gets 206: by an upstream range when far ahead of the fill", async (t) => {
  const size = 64 * MIB;
  const { upstream, bytes, url } = await setUp(t, size);
  const rest = gate();
  upstream.script({ ...BLOB_GET, ranged: false }, { kind: "hold", atByte: 1 * MIB, until: rest.promise });
  const answer = await ask(url, { headers: { Range: `bytes=${size - 1000}-` } });
  assert.equal(answer.status, 206);
  assert.ok(answer.body.equals(bytes.subarray(size - 1000)));
  assert.equal(upstream.count({ ...BLOB_GET, ranged: true }), 1);
  rest.open();
});

test("Range on a held blob: open-ended, suffix, unsatisfiable, several parts", async (t) => {
  const { cache, bytes, url } = await setUp(t, 1 * MIB);
  await ask(url);
  await cache.app.idle();
  const range = async (value: string) => await ask(url, { headers: { Range: value } });
  const openEnded = await range("bytes=1000-");
  assert.equal(openEnded.status, 206);
  assert.ok(openEnded.body.equals(bytes.subarray(1000)));
  assert.ok((await range("bytes=-5")).body.equals(bytes.subarray(-5)));
  const none = await range(`bytes=${bytes.length}-`);
  assert.equal(none.status, 416);
  assert.equal(none.headers["content-range"], `bytes */${bytes.length}`);
  const parts = await range("bytes=0-3,1000-1003");
  assert.equal(parts.status, 206);
  const boundary = /^multipart\/byteranges; boundary=(.+)$/.exec(String(parts.headers["content-type"]))?.[1];
  assert.ok(boundary !== undefined);
  assert.equal(parts.body.length, Number(parts.headers["content-length"]));
  const bodies = parts.body
    .toString("latin1")
    .split(`--${boundary}`)
    .slice(1, -1)
    .map((part) => part.slice(part.indexOf("\r\n\r\n") + 4, -2));
  assert.deepEqual(bodies, [bytes.subarray(0, 4).toString("latin1"), bytes.subarray(1000, 1004).toString("latin1")]);
});

test("several ranges of a cold blob are answered with the whole, never with a single part", async (t) => {
  const { bytes, url } = await setUp(t, 1 * MIB);
  const answer = await ask(url, { headers: { Range: "bytes=0-3,1000-1003" } });
  assert.equal(answer.status, 200);
  assert.ok(answer.body.equals(bytes));
});

test("HEAD never downloads a blob: not even where the registry refuses HEAD", async (t) => {
  for (const blobHead of ["ok", 401, 403, 405] as const) {
    const { upstream, cache, bytes, url } = await setUp(t, 1 * MIB, { upstream: { blobHead } });
    const head = await ask(url, { method: "HEAD" });
    assert.equal(head.status, 200, String(blobHead));
    assert.equal(head.headers["content-length"], String(bytes.length));
    const sent = upstream.requests.reduce((sum, one) => sum + one.bytesSent, 0);
    assert.ok(sent < 100_000, `upstream sent ${sent} bytes`);
    await cache.stop();
  }
});

test("HEAD of a blob that a held manifest names asks nobody", async (t) => {
  const { upstream, cache } = await setUp(t);
  const image = upstream.addImage("library/app", "1");
  await ask(`${cache.url}/v2/library/app/manifests/1`);
  const before = upstream.requests.length;
  const layer = image.layers[0];
  assert.ok(layer !== undefined);
  const head = await ask(`${cache.url}/v2/library/app/blobs/${layer.digest}`, { method: "HEAD" });
  assert.equal(head.headers["content-length"], String(layer.bytes.length));
  assert.equal(upstream.requests.length, before);
});

test("a blob that upstream does not have is 404 BLOB_UNKNOWN, asked for once", async (t) => {
  const { upstream, cache } = await setUp(t);
  const missing = `${cache.url}/v2/library/app/blobs/${sha256(Buffer.from("missing"))}`;
  for (let time = 0; time < 3; time++) {
    const answer = await ask(missing);
    assert.equal(answer.status, 404);
    assert.match(answer.body.toString(), /BLOB_UNKNOWN/);
  }
  assert.equal(upstream.count(BLOB_GET), 1);
});

test("failures before the first byte are error responses that say the cause", async (t) => {
  const { upstream, cache } = await setUp(t, 1 * MIB, {
    registry: { timeouts: { connectMs: 500, headersMs: 300, idleMs: 300, askBudgetMs: 300 } },
  });
  const blob = (seed: number) =>
    `${cache.url}/v2/library/app/blobs/${upstream.addBlob("library/app", seededBytes(1000, seed))}`;
  const limited = upstream.script(BLOB_GET, {
    kind: "status",
    status: 429,
    headers: { "Retry-After": "9" },
    times: Infinity,
  });
  const answer = await ask(blob(1));
  assert.deepEqual([answer.status, answer.headers["retry-after"]], [429, "9"]);
  limited.remove();
});

test("a stalled upstream is 504 before the first byte", async (t) => {
  const { upstream, url } = await setUp(t, 1 * MIB, {
    registry: { timeouts: { connectMs: 500, headersMs: 200, idleMs: 200, askBudgetMs: 200 } },
  });
  upstream.script(BLOB_GET, { kind: "hang", times: Infinity });
  assert.equal((await ask(url)).status, 504);
});

test("a full disk streams every pull through, right and whole, and keeps again when there is room", async (t) => {
  const { upstream, cache, bytes, digest, url } = await setUp(t, 4 * MIB, {
    config: { minFreeDiskBytes: Number.MAX_SAFE_INTEGER },
  });
  const answers = await Promise.all([ask(url), ask(url)]);
  for (const answer of answers) {
    assert.equal(answer.isWhole, true);
    assert.ok(answer.body.equals(bytes));
    assert.equal(answer.headers["cache-status"], "registry-cache; fwd=miss; detail=no-room");
  }
  assert.deepEqual(await spoolFiles(cache), []);
  upstream.script(BLOB_GET, { kind: "corrupt", atByte: 5 });
  assert.equal((await ask(url)).isWhole, false, "un-kept bytes are verified too");
  await cache.stop();
  const roomy = await startCache(t, [testRegistry(upstream.url)], { dataDir: cache.dataDir });
  const kept = `${roomy.url}/v2/library/app/blobs/${digest}`;
  await ask(kept);
  await roomy.app.idle();
  assert.equal((await ask(kept)).headers["cache-status"], "registry-cache; hit");
});

test("a bounded number of fills: the oldest that nobody reads is paused for one that somebody waits for", async (t) => {
  const { upstream, cache, url, bytes } = await setUp(t, 4 * MIB, { config: { fillsMax: 1 } });
  upstream.script(BLOB_GET, { kind: "stall", atByte: 2 * MIB });
  const left = await open(url);
  await readSome(left, 1 * MIB);
  left.destroy();
  const other = seededBytes(1 * MIB, 99);
  const otherDigest = upstream.addBlob("library/app", other);
  const answer = await ask(`${cache.url}/v2/library/app/blobs/${otherDigest}`);
  assert.ok(answer.body.equals(other));
  await cache.app.idle();
  assert.equal((await spoolFiles(cache)).length, 2, "the paused one is a partial");
  assert.ok((await ask(url)).body.equals(bytes));
  assert.equal(upstream.count({ ...BLOB_GET, ranged: true }), 1, "and is resumed");
});

test("an empty blob is served", async (t) => {
  const { url } = await setUp(t, 0);
  const answer = await ask(url);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["content-length"], "0");
});
