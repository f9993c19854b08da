import assert from "node:assert/strict";
import { once } from "node:events";
import { access, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { connect } from "node:tls";
import type { RegistryConfig } from "../src/config/config.ts";
import type { Digest } from "../src/oci/digest.ts";
import { layoutOf } from "../src/store/layout.ts";
import { seededBytes, sha256 } from "./support/bytes.ts";
import { testConfig, testRegistry } from "./support/cache.ts";
import { NO_FILES, selfSignedCertificate } from "./support/certificate.ts";
import { type CacheProcess, startCacheProcess } from "./support/cache-process.ts";
import { ask, errorCode, open, raw } from "./support/client.ts";
import { startCommand } from "./support/command.ts";
import { type FakeUpstreamOptions, startFakeUpstream } from "./support/fake-upstream.ts";
import { eventually } from "./support/open-files.ts";
import { tempDir } from "./support/temp.ts";

const MIB = 1024 * 1024;
const FRONTS = 3;
/** More than there are fronts: connections are handed out in turn, so that each front gets several. */
const CLIENTS = 3 * FRONTS;

async function setUp(
  t: TestContext,
  upstreamOptions: FakeUpstreamOptions = {},
  registry: Partial<RegistryConfig> = {},
) {
  const upstream = await startFakeUpstream(upstreamOptions);
  t.after(async () => await upstream.stop());
  const config = testConfig(await tempDir(t), [testRegistry(upstream.url, registry)], { workers: FRONTS });
  return { upstream, config, cache: await startCacheProcess(t, config) };
}

/** Each over a connection of its own. */
async function askMany(url: string, count = CLIENTS) {
  return await Promise.all(Array.from({ length: count }, async () => await ask(url)));
}

/** Until it is a hit: the last bytes are given out before the disk has them for good. */
async function pulled(url: string): Promise<void> {
  await eventually(async () => String((await ask(url)).headers["cache-status"]).includes("; hit"));
}

async function stored(dataDir: string, digest: Digest): Promise<string> {
  const path = layoutOf(dataDir).blob(digest);
  const isThere = async () =>
    await access(path).then(
      () => true,
      () => false,
    );
  await eventually(isThere);
  return path;
}

/** Connections to a server's port, by the kernel's table of IPv4 sockets. */
async function establishedTo(url: string): Promise<number> {
  const port = Number(new URL(url).port).toString(16).toUpperCase().padStart(4, "0");
  const lines = (await readFile("/proc/net/tcp", "utf8")).split("\n");
  return lines.filter((line) => new RegExp(`^ *\\d+: 0100007F:${port} \\S+ 01 `).test(line)).length;
}

async function frontsOf({ pid }: CacheProcess): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.split(" ").filter(Boolean).map(Number);
}

test("clients of one cold blob, on all fronts: one transfer, right bytes for all, and hits from then on", async (t) => {
  const { upstream, cache } = await setUp(t);
  const bytes = seededBytes(5 * MIB, "cold");
  const digest = upstream.addBlob("library/app", bytes);
  const url = `${cache.url}/v2/library/app/blobs/${digest}`;
  assert.equal((await frontsOf(cache)).length, FRONTS);
  for (const { status, body, isWhole } of await askMany(url)) {
    assert.deepEqual([status, isWhole, body.equals(bytes)], [200, true, true]);
  }
  assert.equal(upstream.count({ method: "GET", path: "/blobs/" }), 1);
  await upstream.stop();
  await pulled(url);
  for (const { headers, body } of await askMany(url)) {
    assert.match(String(headers["cache-status"]), /; hit/);
    assert.ok(body.equals(bytes));
  }
  const part = await ask(url, { headers: { Range: `bytes=${4 * MIB}-` } });
  assert.deepEqual([part.status, part.body.equals(bytes.subarray(4 * MIB))], [206, true]);
});

test("a tag that moved is never served as it was before by any front", async (t) => {
  const { upstream, cache } = await setUp(t, {}, { tags: [{ match: "*", revalidate: { kind: "after", ms: 1 } }] });
  const url = `${cache.url}/v2/library/app/manifests/1`;
  for (let version = 0; version < 5; version++) {
    const { digest } = upstream.addImage("library/app", "1", { seed: version });
    const first = await ask(url);
    assert.equal(first.headers["docker-content-digest"], digest);
    for (const { headers } of await askMany(url)) assert.equal(headers["docker-content-digest"], digest);
  }
});

test("a fresh tag is answered by the fronts themselves, with its age, and its use is written down by the owner", async (t) => {
  const { upstream, cache, config } = await setUp(
    t,
    {},
    { tags: [{ match: "*", revalidate: { kind: "after", ms: 600_000 } }] },
  );
  const { digest } = upstream.addImage("library/app", "1");
  const url = `${cache.url}/v2/library/app/manifests/1`;
  await ask(url);
  const beforeMs = Date.now();
  for (const { status, headers } of [...(await askMany(url)), ...(await askMany(url))]) {
    assert.equal(status, 200);
    assert.equal(headers["docker-content-digest"], digest);
    assert.match(String(headers["cache-status"]), /^registry-cache; hit; ttl=\d+$/);
  }
  assert.equal(upstream.count({ path: "/manifests/" }), 1);
  assert.equal(await cache.terminate(), 0);
  const catalog = new DatabaseSync(join(config.dataDir, "catalog.sqlite"), { readOnly: true });
  const row = catalog.prepare("select last_used_at_ms from tags").get();
  catalog.close();
  assert.ok(Number(row?.["last_used_at_ms"]) >= beforeMs);
});

test("hits need no owner: with that one stopped, connections that are there already are served", async (t) => {
  const { upstream, cache, config } = await setUp(t);
  const { digest } = upstream.addImage("library/app", "1");
  const blob = upstream.addBlob("library/app", seededBytes(3 * MIB, "alone"));
  const paths = [`manifests/1`, `manifests/${digest}`, `blobs/${blob}`].map((path) => `/v2/library/app/${path}`);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const get = async (path: string) =>
    await new Promise<[number | undefined, number]>((resolve, reject) => {
      const asking = request(cache.url + path, { agent }, (response) => {
        response
          .toArray()
          .then((pieces: Buffer[]) => resolve([response.statusCode, Buffer.concat(pieces).length]), reject);
      });
      asking.on("error", reject).end();
    });
  for (const path of paths) await get(path);
  // A client has all of a blob a moment before it is committed.
  await stored(config.dataDir, blob);
  for (const path of paths) await get(path);
  process.kill(cache.pid, "SIGSTOP");
  try {
    const answers = await Promise.all(paths.map(get));
    assert.deepEqual(
      answers.map(([status]) => status),
      [200, 200, 200],
    );
    assert.equal(answers[2]?.[1], 3 * MIB);
  } finally {
    process.kill(cache.pid, "SIGCONT");
  }
});

test("what no front can answer, the owner does: lists, statistics, errors, pushes, each as from one process", async (t) => {
  const { upstream, cache } = await setUp(t);
  upstream.addImage("library/app", "1");
  await ask(`${cache.url}/v2/library/app/manifests/1`);
  assert.deepEqual(JSON.parse((await ask(`${cache.url}/summary`)).body.toString("utf8")), {
    summary: { dockerhub: 1, total: 1 },
  });
  assert.equal((await ask(`${cache.url}/v2/`)).status, 200);
  assert.equal((await ask(`${cache.url}/v2/library/app/tags/list`)).status, 200);
  const unknown = await ask(`${cache.url}/v2/library/app/manifests/none`);
  assert.deepEqual([unknown.status, errorCode(unknown)], [404, "MANIFEST_UNKNOWN"]);
  const push = await ask(`${cache.url}/v2/library/app/blobs/uploads/`, { method: "POST", body: "x".repeat(100_000) });
  assert.deepEqual([push.status, errorCode(push)], [405, "UNSUPPORTED"]);
  const head = await ask(`${cache.url}/v2/library/app/manifests/1`, { method: "HEAD" });
  assert.deepEqual([head.status, head.body.length], [200, 0]);
  assert.equal((await ask(`${cache.url}/nothing`)).status, 404);
  // Probes of load balancers may be so simple.
  assert.match(await raw(cache.url, "GET /healthz HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 200 /);
  const many = Array.from({ length: 98 }, (_, index): [string, string] => [`X-${index}`, "1"]);
  assert.equal((await ask(`${cache.url}/healthz`, { headers: Object.fromEntries(many) })).status, 200);
});

test("a front that is killed is started anew; clients of the others and of the new one notice nothing", async (t) => {
  const { upstream, cache } = await setUp(t);
  const bytes = seededBytes(2 * MIB, "kill");
  const url = `${cache.url}/v2/library/app/blobs/${upstream.addBlob("library/app", bytes)}`;
  await ask(url);
  const [victim = 0] = await frontsOf(cache);
  process.kill(victim, "SIGKILL");
  await eventually(async () => !(await frontsOf(cache)).includes(victim));
  for (const { body } of await askMany(url)) assert.ok(body.equals(bytes));
  await eventually(async () => (await frontsOf(cache)).length === FRONTS);
  for (const { body } of await askMany(url)) assert.ok(body.equals(bytes));
});

test("connections that fronts die with before they have taken them are served all the same", async (t) => {
  const { upstream, cache } = await setUp(t);
  const { digest } = upstream.addImage("library/app", "1");
  const url = `${cache.url}/v2/library/app/manifests/1`;
  await ask(url);
  const fronts = await frontsOf(cache);
  for (const pid of fronts) process.kill(pid, "SIGSTOP");
  const asking = askMany(url);
  await eventually(async () => (await establishedTo(cache.url)) >= CLIENTS);
  for (const pid of fronts) process.kill(pid, "SIGKILL");
  for (const { status, headers } of await asking) {
    assert.deepEqual([status, headers["docker-content-digest"]], [200, digest]);
  }
});

test("no front outlives its owner", async (t) => {
  const { cache } = await setUp(t);
  const fronts = await frontsOf(cache);
  await cache.kill();
  await eventually(async () => {
    const names = await readdir("/proc");
    return !fronts.some((pid) => names.includes(String(pid)));
  });
});

test("a stop lets responses on fronts finish, and leaves with code 0", async (t) => {
  const { upstream, cache } = await setUp(t, { bytesPerSecond: 4 * MIB });
  const bytes = seededBytes(2 * MIB, "stop");
  const response = await open(`${cache.url}/v2/library/app/blobs/${upstream.addBlob("library/app", bytes)}`);
  const stopping = cache.terminate();
  const received = Buffer.concat((await response.toArray()) as Buffer[]);
  assert.ok(received.equals(bytes));
  assert.equal(await stopping, 0);
});

test("a large blob that a front finds damaged never completes, and is fetched anew", async (t) => {
  const { upstream, cache, config } = await setUp(t);
  const bytes = seededBytes(9 * MIB, "damaged");
  const digest = upstream.addBlob("library/app", bytes);
  const url = `${cache.url}/v2/library/app/blobs/${digest}`;
  await pulled(url);
  const wrong = Buffer.from(bytes);
  wrong[5 * MIB] = (wrong[5 * MIB] ?? 0) ^ 1;
  await writeFile(await stored(config.dataDir, digest), wrong);
  const answer = await ask(url);
  assert.ok(!answer.isWhole);
  await eventually(async () => {
    const again = await ask(url);
    return again.isWhole && sha256(again.body) === digest;
  });
  assert.equal(upstream.count({ method: "GET", path: "/blobs/" }), 2);
});

test("the end of a large blob whose file lost it is had from the owner, who fetches it anew", async (t) => {
  const { upstream, config, cache } = await setUp(t);
  const image = upstream.addImage("library/app", "1", { layers: [9 * MIB] });
  const [layer] = image.layers;
  assert.ok(layer !== undefined);
  const { digest, bytes } = layer;
  await ask(`${cache.url}/v2/library/app/manifests/${image.digest}`);
  const url = `${cache.url}/v2/library/app/blobs/${digest}`;
  await pulled(url);
  await truncate(await stored(config.dataDir, digest), 8.5 * MIB);
  const end = await ask(url, { headers: { Range: `bytes=${bytes.length - 10}-` } });
  assert.deepEqual([end.status, end.body.equals(bytes.subarray(-10))], [206, true]);
  for (const { body } of await askMany(url)) assert.ok(body.equals(bytes));
  assert.equal(upstream.count({ method: "GET", path: "/blobs/" }), 2);
});

test("an address in use is told as from one process, and nothing is left running", async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  t.after(() => taken.close());
  const address = taken.address();
  assert.ok(address !== null && typeof address === "object");
  const cwd = await tempDir(t);
  const environment = { REGISTRY_CACHE_WORKERS: "2", REGISTRY_CACHE_LISTEN: `127.0.0.1:${address.port}` };
  const { exitCode, err } = await startCommand(t, ["serve"], { cwd, environment }).ended();
  assert.equal(exitCode, 1);
  assert.match(err, /^error: .*127\.0\.0\.1:\d+.*\nhint: /m);
});

test("an owner that is busy for a moment refuses nobody", async (t) => {
  const { upstream, cache } = await setUp(t);
  upstream.addImage("library/app", "1");
  await ask(`${cache.url}/v2/library/app/manifests/1`);
  process.kill(cache.pid, "SIGSTOP");
  const fronts = await frontsOf(cache);
  assert.equal(fronts.length, FRONTS);
  const asking = askMany(`${cache.url}/v2/`, 700);
  await eventually(async () => (await establishedTo(cache.url)) >= 700);
  process.kill(cache.pid, "SIGCONT");
  assert.deepEqual(new Set((await asking).map(({ status }) => status)), new Set([200]));
});

test("the log has one line a request, with the client's own address, whoever answered", async (t) => {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const { digest } = upstream.addImage("library/app", "1");
  const cwd = await tempDir(t);
  const text = `listen: 127.0.0.1:0\nworkers: 2\nlog: {format: json}\nregistries: {dockerhub: {upstream: "${upstream.url}"}}\n`;
  await writeFile(join(cwd, "registry-cache.yaml"), text);
  const command = startCommand(t, ["serve"], { cwd });
  const [, url] = await command.said(/"(?:urls?|addresses|serving[^"]*)":\[?"?(?:http:\/\/)?(127\.0\.0\.1:\d+)/);
  for (let time = 0; time < 3; time++) await ask(`http://${url}/v2/library/app/manifests/${digest}`);
  command.signal("SIGTERM");
  const { exitCode, out } = await command.ended();
  assert.equal(exitCode, 0);
  const lines = out
    .split("\n")
    .filter((line) => line.includes('"msg":"request"'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    lines.map(({ outcome }) => outcome),
    ["miss", "hit", "hit"],
  );
  for (const { client, status } of lines) assert.deepEqual([client, status], ["127.0.0.1", 200]);
});

test("a client that gives up while the owner asks upstream has one line in the log, which says so", async (t) => {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  upstream.script({ path: "/manifests/" }, { kind: "hang", times: Infinity });
  const cwd = await tempDir(t);
  // The line comes with the end of the question, which is nobody's by then.
  const text = `listen: 127.0.0.1:0\nworkers: 2\nlog: {format: json}\nregistries: {dockerhub: {upstream: "${upstream.url}", headers_timeout: 2s}}\n`;
  await writeFile(join(cwd, "registry-cache.yaml"), text);
  const command = startCommand(t, ["serve"], { cwd });
  const [, address] = await command.said(/"urls":\["http:\/\/(127\.0\.0\.1:\d+)/);
  const leaving = request(`http://${address}/v2/library/app/manifests/1`);
  leaving.on("error", () => undefined).end();
  await eventually(async () => upstream.count({ path: "/manifests/" }) > 0);
  leaving.destroy();
  await command.said(/"msg":"request"/);
  command.signal("SIGTERM");
  const { out } = await command.ended();
  const lines = out.split("\n").filter((line) => line.includes('"msg":"request"'));
  assert.deepEqual([lines.length, lines[0]?.includes('"aborted":true')], [1, true]);
});

test("with a data folder whose path is too long for a socket, fronts reach the owner all the same", async (t) => {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const { digest } = upstream.addImage("library/app", "1");
  const dataDir = join(await tempDir(t), "d".repeat(120));
  const before = await socketFolders();
  const cache = await startCacheProcess(t, testConfig(dataDir, [testRegistry(upstream.url)], { workers: FRONTS }));
  const answers = await askMany(`${cache.url}/v2/library/app/manifests/${digest}`);
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  assert.equal(await cache.terminate(), 0);
  assert.deepEqual(await socketFolders(), before);
});

async function socketFolders(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith("registry-cache-socket-"));
}

test("a TLS session is resumed whichever front the client comes to", async (t) => {
  const tls = selfSignedCertificate();
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const config = testConfig(await tempDir(t), [testRegistry(upstream.url)], {
    workers: FRONTS,
    tls: { ...tls, files: NO_FILES },
  });
  const { port } = new URL((await startCacheProcess(t, config)).url);
  const first = await handshake(Number(port), tls.cert, undefined);
  for (let time = 0; time < CLIENTS; time++) {
    assert.equal((await handshake(Number(port), tls.cert, first.session)).isReused, true);
  }
});

/** Connects and leaves; the ticket of a new session is waited for. */
async function handshake(port: number, ca: string, session: Buffer | undefined) {
  const socket = connect({ port, host: "127.0.0.1", ca, ...(session === undefined ? {} : { session }) });
  const ticket = once(socket, "session") as Promise<[Buffer]>;
  ticket.catch(() => undefined);
  await once(socket, "secureConnect");
  const isReused = socket.isSessionReused();
  const [latest] = session === undefined ? await ticket : [session];
  socket.destroy();
  return { session: latest, isReused };
}
