import assert from "node:assert/strict";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { Config } from "../src/config/config.ts";
import { seededBytes } from "./support/bytes.ts";
import { startCache, testConfig, testRegistry } from "./support/cache.ts";
import { startCacheProcess } from "./support/cache-process.ts";
import { ask, open, readSome } from "./support/client.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import { tempDir } from "./support/temp.ts";

const MIB = 1024 * 1024;
/** No test waits for it: what ends, ends of itself. */
const NEVER_MS = 2 ** 30;
const BLOB = { method: "GET", path: "/blobs/" };

async function setUp(t: TestContext, config: Partial<Config>, size = 4 * MIB) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const bytes = seededBytes(size);
  const digest = upstream.addBlob("library/app", bytes);
  const cache = await startCache(t, [testRegistry(upstream.url)], { config });
  const path = `/v2/library/app/blobs/${digest}`;
  return { upstream, bytes, cache, path, url: `${cache.url}${path}` };
}

async function dial(t: TestContext, url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname).on("error", () => undefined);
  t.after(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: cache.example\r\n\r\n`;

test("a stop accepts nothing new, and responses under way are finished whole", async (t) => {
  const { upstream, bytes, cache, url } = await setUp(t, { stopTimeoutMs: NEVER_MS });
  const rest = Promise.withResolvers<void>();
  upstream.script(BLOB, { kind: "hold", atByte: 2 * MIB, until: rest.promise });
  const response = await open(url);
  const early = await readSome(response, 1 * MIB);
  const stopped = cache.stop();
  await assert.rejects(ask(`${cache.url}/healthz`), { code: "ECONNREFUSED" });
  rest.resolve();
  const late = (await response.toArray()) as Buffer[];
  assert.ok(Buffer.concat([early, ...late]).equals(bytes));
  await stopped;
});

test("while stopping /readyz is 503, and the answer says that the connection ends", async (t) => {
  const { upstream, bytes, cache, path } = await setUp(t, { stopTimeoutMs: NEVER_MS }, 1 * MIB);
  assert.equal((await ask(`${cache.url}/readyz`)).status, 200);
  const rest = Promise.withResolvers<void>();
  upstream.script(BLOB, { kind: "hold", atByte: MIB / 2, until: rest.promise });
  const socket = await dial(t, cache.url);
  socket.write(get(path));
  await once(socket, "readable");
  const stopped = cache.stop();
  const other = upstream.addBlob("library/app", seededBytes(10, "other"));
  socket.write(get("/readyz") + get(`/v2/library/app/blobs/${other}`));
  // Upstream is asked for the last one: so the one before it has arrived as well.
  await upstream.until(() => upstream.count({ path: other }) === 1);
  rest.resolve();
  const text = Buffer.concat((await socket.toArray()) as Buffer[]).toString("latin1");
  const second = text.slice(text.indexOf(bytes.toString("latin1")) + bytes.length);
  assert.match(second, /^HTTP\/1\.1 503 /);
  assert.match(second, /\r\nConnection: close\r\n/);
  assert.match(second, /\{"status":"stopping"\}/);
  await stopped;
});

test("connections that are idle, or were only opened, are closed at once", async (t) => {
  const { cache } = await setUp(t, { stopTimeoutMs: NEVER_MS });
  const idle = await dial(t, cache.url);
  idle.write(get("/healthz"));
  await once(idle, "data");
  const silent = await dial(t, cache.url);
  const half = await dial(t, cache.url);
  half.write("GET /healthz HTTP/1.1\r\nHo");
  // Its answer shows that those before it were accepted.
  await ask(`${cache.url}/healthz`);
  const closed = [idle, silent, half].map(async (socket) => await once(socket.resume(), "close"));
  await cache.stop();
  await Promise.all(closed);
});

test("a client that reads nothing is cut at the limit", async (t) => {
  const { cache, path, url } = await setUp(t, { stopTimeoutMs: 50 }, 32 * MIB);
  await ask(url);
  await cache.app.idle();
  const socket = await dial(t, cache.url);
  socket.write(get(path));
  await once(socket, "readable");
  await cache.stop();
  await once(socket.resume(), "close");
  assert.ok(socket.bytesRead < 32 * MIB);
});

test("an upstream that stalls does not hold the stop: the client is cut, the partial is kept and resumed", async (t) => {
  const { upstream, bytes, cache, path, url } = await setUp(t, { stopTimeoutMs: 50 });
  upstream.script(BLOB, { kind: "stall", atByte: 2 * MIB });
  const response = await open(url);
  await readSome(response, 1 * MIB);
  const broken = assert.rejects(response.toArray(), { code: "ECONNRESET" });
  await cache.stop();
  await broken;
  assert.equal((await readdir(join(cache.dataDir, "spool"))).length, 2, "the partial and its origin");
  const again = await cache.restart();
  assert.ok((await ask(`${again.url}${path}`)).body.equals(bytes));
  assert.equal(upstream.count({ ...BLOB, ranged: true }), 1);
});

test("a question that upstream never answers does not hold the stop", async (t) => {
  const { upstream, cache } = await setUp(t, { stopTimeoutMs: 50 });
  upstream.script({ path: "/manifests/" }, { kind: "hang", times: Infinity });
  const asked = ask(`${cache.url}/v2/library/app/manifests/1`).catch((error: NodeJS.ErrnoException) => error);
  await upstream.until(() => upstream.count({ path: "/manifests/" }) === 1);
  await cache.stop();
  const outcome = await asked;
  assert.equal(outcome instanceof Error ? outcome.code : outcome.status, "ECONNRESET");
});

test("SIGTERM: what is under way is finished, and the process ends with 0", async (t) => {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const bytes = seededBytes(4 * MIB);
  const digest = upstream.addBlob("library/app", bytes);
  const config = testConfig(await tempDir(t), [testRegistry(upstream.url)], { stopTimeoutMs: NEVER_MS });
  const cache = await startCacheProcess(t, config);
  const rest = Promise.withResolvers<void>();
  upstream.script(BLOB, { kind: "hold", atByte: 2 * MIB, until: rest.promise });
  const response = await open(`${cache.url}/v2/library/app/blobs/${digest}`);
  const early = await readSome(response, 1 * MIB);
  const ended = cache.terminate();
  rest.resolve();
  const late = (await response.toArray()) as Buffer[];
  assert.ok(Buffer.concat([early, ...late]).equals(bytes));
  assert.equal(await ended, 0);
});
