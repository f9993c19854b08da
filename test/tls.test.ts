import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { test, type TestContext } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { pino } from "pino";
import type { Config } from "../src/config/config.ts";
import { seededBytes } from "./support/bytes.ts";
import { startCache, testRegistry } from "./support/cache.ts";
import { NO_FILES, selfSignedCertificate } from "./support/certificate.ts";
import { ask, open, raw, readSome } from "./support/client.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";

const MIB = 1024 * 1024;
/** No test waits for it: what ends, ends of itself. */
const NEVER_MS = 2 ** 30;
const BLOB = { method: "GET", path: "/blobs/" };

const tls = { ...selfSignedCertificate(), files: NO_FILES };
const ca = tls.cert;

/** The log's lines, each with an event. */
class Lines extends EventEmitter {
  readonly all: string[] = [];

  write(line: string): void {
    this.all.push(line);
    this.emit("line");
  }

  async until(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = this.all.find((line) => pattern.test(line));
      if (found !== undefined) return found;
      await once(this, "line");
    }
  }
}

async function setUp(t: TestContext, config: Partial<Config> = {}) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const lines = new Lines();
  const log = pino({ level: "debug" }, lines);
  const cache = await startCache(t, [testRegistry(upstream.url)], { config: { tls, ...config }, log });
  const addBlob = (size: number) => {
    const bytes = seededBytes(size);
    const path = `/v2/library/app/blobs/${upstream.addBlob("library/app", bytes)}`;
    return { bytes, path, url: `${cache.url}${path}` };
  };
  return { upstream, cache, lines, addBlob };
}

async function dial(t: TestContext, url: string): Promise<TLSSocket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), ca }).on("error", () => undefined);
  t.after(() => socket.destroy());
  await once(socket, "secureConnect");
  return socket;
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: cache.example\r\n\r\n`;

test("an image is pulled over TLS, first from upstream, then from disk and memory", async (t) => {
  const { upstream, cache } = await setUp(t);
  const image = upstream.addImage("library/app", "1");
  for (const outcome of [/fwd=miss/, /; hit/]) {
    const manifest = await ask(`${cache.url}/v2/app/manifests/1`, { ca });
    assert.equal(manifest.headers["docker-content-digest"], image.digest);
    assert.match(String(manifest.headers["cache-status"]), outcome);
    for (const { digest, bytes } of [image.config, ...image.layers]) {
      const blob = await ask(`${cache.url}/v2/app/blobs/${digest}`, { ca });
      assert.ok(blob.isWhole && blob.body.equals(bytes));
    }
    await cache.app.idle();
  }
});

test("a large blob is the same over TLS, from a fill, from disk, and in part", async (t) => {
  const { cache, addBlob } = await setUp(t);
  const { bytes, url } = addBlob(24 * MIB + 1);
  assert.ok((await ask(url, { ca })).body.equals(bytes));
  await cache.app.idle();
  const answers = await Promise.all(Array.from({ length: 4 }, async () => await ask(url, { ca })));
  for (const { body } of answers) assert.ok(body.equals(bytes));
  const part = await ask(url, { ca, headers: { Range: `bytes=${MIB}-${9 * MIB}` } });
  assert.equal(part.status, 206);
  assert.ok(part.body.equals(bytes.subarray(MIB, 9 * MIB + 1)));
});

test("a stop accepts nothing new, and responses under way are finished whole", async (t) => {
  const { upstream, cache, addBlob } = await setUp(t, { stopTimeoutMs: NEVER_MS });
  const { bytes, url } = addBlob(4 * MIB);
  const rest = Promise.withResolvers<void>();
  upstream.script(BLOB, { kind: "hold", atByte: 2 * MIB, until: rest.promise });
  const response = await open(url, { ca });
  const early = await readSome(response, 1 * MIB);
  const stopped = cache.stop();
  await assert.rejects(ask(`${cache.url}/healthz`, { ca }), { code: "ECONNREFUSED" });
  rest.resolve();
  const late = (await response.toArray()) as Buffer[];
  assert.ok(Buffer.concat([early, ...late]).equals(bytes));
  await stopped;
});

test("a client that reads nothing is cut at the stop's limit", async (t) => {
  const { cache, addBlob } = await setUp(t, { stopTimeoutMs: 50 });
  const { path, url } = addBlob(32 * MIB);
  await ask(url, { ca });
  await cache.app.idle();
  const socket = await dial(t, cache.url);
  socket.write(get(path));
  await once(socket, "readable");
  await cache.stop();
  await once(socket.resume(), "close");
  assert.ok(socket.bytesRead < 32 * MIB);
});

test("a client that leaves in the middle of a body ends its request, and nobody else's", async (t) => {
  const { upstream, cache, lines, addBlob } = await setUp(t);
  const { bytes, path, url } = addBlob(4 * MIB);
  const rest = Promise.withResolvers<void>();
  upstream.script(BLOB, { kind: "hold", atByte: 2 * MIB, until: rest.promise });
  const leaving = await dial(t, cache.url);
  leaving.write(get(path));
  await once(leaving, "readable");
  const staying = await open(url, { ca });
  const early = await readSome(staying, 1 * MIB);
  leaving.destroy();
  assert.match(await lines.until(/"aborted":true/), /"endpoint":"blob".*"status":200/);
  rest.resolve();
  const late = (await staying.toArray()) as Buffer[];
  assert.ok(Buffer.concat([early, ...late]).equals(bytes));
  assert.equal(upstream.count(BLOB), 1);
});

test("clients that fail at TLS are a line at debug level, and nothing more", async (t) => {
  const { cache, lines } = await setUp(t);
  await assert.rejects(ask(`${cache.url}/v2/`), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
  await lines.until(/"level":20.*"msg":"no TLS with a client"/);
  assert.match(await raw(cache.url, get("/v2/")), /^HTTP\/1\.1 400 .*this port speaks TLS/s);
  await lines.until(/"level":20.*ERR_SSL_HTTP_REQUEST.*"msg":"no TLS with a client"/);
  assert.equal((await ask(`${cache.url}/v2/`, { ca })).status, 200);
  assert.deepEqual(
    lines.all.filter((line) => /"level":[3-6]0/.test(line) && !line.includes('"msg":"request"')),
    [],
  );
  assert.ok(!lines.all.some((line) => line.includes("PRIVATE KEY")));
});
