import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { RegistryConfig } from "../src/config/config.ts";
import { seededBytes } from "./support/bytes.ts";
import { startCache, testRegistry } from "./support/cache.ts";
import { ask, errorCode, open, readSome } from "./support/client.ts";
import { type FakeUpstream, type FakeUpstreamOptions, startFakeUpstream } from "./support/fake-upstream.ts";
import { gate } from "./support/scripted-blob.ts";

const MIB = 1024 * 1024;
const BLOB_GET = { method: "GET", path: "/blobs/" } as const;
const BYTES = seededBytes(1 * MIB, "shared");

async function fakeUpstream(t: TestContext, options: FakeUpstreamOptions = {}): Promise<FakeUpstream> {
  const upstream = await startFakeUpstream(options);
  t.after(async () => await upstream[Symbol.asyncDispose]());
  return upstream;
}

/** A second registry, reached by path prefix. */
function second(upstream: string, differs: Partial<RegistryConfig> = {}): RegistryConfig {
  return testRegistry(upstream, { id: "ghcr", serves: "ghcr.io", aliases: [], libraryPrefix: false, ...differs });
}

function manifestOf(layer: string): object {
  return {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: layer, size: BYTES.length },
    layers: [],
  };
}

test("a blob that one repository brought is not readable through another that upstream does not give it to", async (t) => {
  const upstream = await fakeUpstream(t);
  const digest = upstream.addBlob("team/private", BYTES);
  upstream.addBlob("team/other", seededBytes(10, "x"));
  const cache = await startCache(t, [testRegistry(upstream.url)]);
  assert.equal((await ask(`${cache.url}/v2/team/private/blobs/${digest}`)).status, 200);
  await cache.app.idle();
  for (const method of ["GET", "HEAD"]) {
    const denied = await ask(`${cache.url}/v2/team/other/blobs/${digest}`, { method });
    assert.equal(denied.status, 404, method);
    if (method === "GET") assert.equal(errorCode(denied), "BLOB_UNKNOWN");
  }
  await upstream.stop();
  const unproven = await ask(`${cache.url}/v2/team/third/blobs/${digest}`);
  assert.equal(unproven.status, 502, "without an upstream there is no proof");
});

test("a manifest of the repository that names the blob is proof: linked, without asking and without a byte", async (t) => {
  const upstream = await fakeUpstream(t);
  const digest = upstream.addBlob("library/a", BYTES);
  upstream.addBlob("library/b", BYTES);
  upstream.addManifest("library/b", manifestOf(digest), { tag: "1" });
  const cache = await startCache(t, [testRegistry(upstream.url)]);
  await ask(`${cache.url}/v2/library/a/blobs/${digest}`);
  await cache.app.idle();
  await ask(`${cache.url}/v2/library/b/manifests/1`);
  await upstream.stop();
  const answer = await ask(`${cache.url}/v2/library/b/blobs/${digest}`);
  assert.ok(answer.body.equals(BYTES));
  assert.equal(answer.headers["cache-status"], "registry-cache; hit");
  assert.equal(upstream.count(BLOB_GET), 1);
});

test("naming what was fetched with credentials, or at another registry, is no proof: upstream is asked", async (t) => {
  const closed = await fakeUpstream(t, { auth: "bearer", users: { me: "secret" }, privateRepositories: ["team/app"] });
  const open_ = await fakeUpstream(t);
  const digest = closed.addBlob("team/app", BYTES);
  const image = closed.addImage("team/app", "secret");
  closed.addManifest("team/app", manifestOf(digest), { tag: "1" });
  for (const [upstream, name] of [
    [closed, "team/evil"],
    [open_, "library/evil"],
  ] as const) {
    upstream.addBlob(name, seededBytes(5, name));
    upstream.addManifest(name, manifestOf(digest), { tag: "1" });
    const child = {
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      digest: image.digest,
      size: image.bytes.length,
    };
    upstream.addManifest(
      name,
      { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [child] },
      { tag: "index" },
    );
  }
  const credentials = { kind: "basic", username: "me", password: "secret" } as const;
  const cache = await startCache(t, [testRegistry(open_.url), second(closed.url, { credentials })]);
  const team = `${cache.url}/v2/ghcr.io/team`;
  for (const tag of ["1", "secret"]) assert.equal((await ask(`${team}/app/manifests/${tag}`)).status, 200);
  assert.equal((await ask(`${team}/app/blobs/${digest}`)).status, 200);
  await cache.app.idle();
  for (const evil of [`${team}/evil`, `${cache.url}/v2/library/evil`]) {
    for (const tag of ["1", "index"]) assert.equal((await ask(`${evil}/manifests/${tag}`)).status, 200);
    for (const method of ["GET", "HEAD"]) {
      assert.equal((await ask(`${evil}/blobs/${digest}`, { method })).status, 404, `${method} ${evil}`);
    }
    assert.equal((await ask(`${evil}/manifests/${image.digest}`)).status, 404, evil);
  }
});

test("upstream's HEAD is proof, whichever registry the blob came from first, and is asked for once", async (t) => {
  const [hub, ghcr] = [await fakeUpstream(t), await fakeUpstream(t)];
  const digest = hub.addBlob("library/a", BYTES);
  ghcr.addBlob("owner/b", BYTES);
  const cache = await startCache(t, [testRegistry(hub.url), second(ghcr.url)]);
  await ask(`${cache.url}/v2/library/a/blobs/${digest}`);
  await cache.app.idle();
  for (let time = 0; time < 2; time++) {
    const answer = await ask(`${cache.url}/v2/ghcr.io/owner/b/blobs/${digest}`);
    assert.ok(answer.body.equals(BYTES));
  }
  assert.equal(ghcr.count(BLOB_GET), 0);
  assert.equal(ghcr.count({ method: "HEAD", path: "/blobs/" }), 1);
});

test("two names of one upstream share without any question, manifests and blobs alike", async (t) => {
  const upstream = await fakeUpstream(t);
  const image = upstream.addImage("owner/app", "1");
  const lscr = second(upstream.url, { id: "lscr", serves: "lscr.io" });
  const cache = await startCache(t, [second(upstream.url), lscr]);
  await ask(`${cache.url}/v2/ghcr.io/owner/app/manifests/1`);
  for (const { digest } of image.layers) await ask(`${cache.url}/v2/ghcr.io/owner/app/blobs/${digest}`);
  await cache.app.idle();
  await upstream.stop();
  const layer = image.layers[0];
  assert.ok(layer !== undefined);
  assert.equal((await ask(`${cache.url}/v2/lscr.io/owner/app/blobs/${layer.digest}`)).status, 200);
  assert.equal((await ask(`${cache.url}/v2/lscr.io/owner/app/manifests/${image.digest}`)).status, 200);
});

test("a manifest by digest needs proof too, and with it no byte is fetched again", async (t) => {
  const upstream = await fakeUpstream(t);
  const image = upstream.addImage("library/a", "1");
  upstream.addManifest("library/b", image.bytes);
  upstream.addBlob("library/c", seededBytes(5, "c"));
  const cache = await startCache(t, [testRegistry(upstream.url)]);
  await ask(`${cache.url}/v2/library/a/manifests/1`);
  const shared = await ask(`${cache.url}/v2/library/b/manifests/${image.digest}`);
  assert.ok(shared.body.equals(image.bytes));
  assert.equal(upstream.count({ method: "GET", path: "/library/b/" }), 0);
  assert.equal((await ask(`${cache.url}/v2/library/c/manifests/${image.digest}`)).status, 404);
});

test("joining a running fill needs proof as well; with it both get the bytes of one transfer", async (t) => {
  const upstream = await fakeUpstream(t);
  const digest = upstream.addBlob("library/a", BYTES);
  upstream.addBlob("library/b", BYTES);
  upstream.addBlob("library/c", seededBytes(5, "c"));
  const rest = gate();
  upstream.script(BLOB_GET, { kind: "hold", atByte: 500_000, until: rest.promise });
  const cache = await startCache(t, [testRegistry(upstream.url)]);
  const first = await open(`${cache.url}/v2/library/a/blobs/${digest}`);
  const early = await readSome(first, 100_000);
  assert.equal((await ask(`${cache.url}/v2/library/c/blobs/${digest}`)).status, 404);
  const joined = await open(`${cache.url}/v2/library/b/blobs/${digest}`);
  assert.match(String(joined.headers["cache-status"]), /collapsed/);
  rest.open();
  assert.ok(Buffer.concat((await joined.toArray()) as Buffer[]).equals(BYTES));
  assert.ok(Buffer.concat([early, ...((await first.toArray()) as Buffer[])]).equals(BYTES));
  await cache.app.idle();
  assert.equal(upstream.count(BLOB_GET), 1);
  await upstream.stop();
  for (const name of ["library/a", "library/b"]) {
    assert.equal((await ask(`${cache.url}/v2/${name}/blobs/${digest}`)).status, 200, name);
  }
});

test("many ask for the same cold blob under two names at once: nobody without proof gets a byte of it", async (t) => {
  const upstream = await fakeUpstream(t);
  const digest = upstream.addBlob("library/a", BYTES);
  upstream.addBlob("library/c", seededBytes(5, "c"));
  const cache = await startCache(t, [testRegistry(upstream.url)]);
  const asked = Array.from({ length: 20 }, async (_, index) => {
    const name = index % 2 === 0 ? "a" : "c";
    const answer = await ask(`${cache.url}/v2/library/${name}/blobs/${digest}`);
    return `${name} ${answer.status} ${answer.body.equals(BYTES)}`;
  });
  assert.deepEqual(new Set(await Promise.all(asked)), new Set(["a 200 true", "c 404 false"]));
});

test("another repository's failing upstream does not fail one whose own works", async (t) => {
  const [hub, ghcr] = [await fakeUpstream(t), await fakeUpstream(t)];
  const digest = hub.addBlob("library/a", BYTES);
  ghcr.addBlob("owner/b", BYTES);
  const rest = gate();
  hub.script(BLOB_GET, {
    kind: "answer",
    handler: async (_, res) => void (await rest.promise, res.writeHead(404).end()),
  });
  const cache = await startCache(t, [testRegistry(hub.url), second(ghcr.url)]);
  const failing = ask(`${cache.url}/v2/library/a/blobs/${digest}`);
  await hub.until(() => hub.count(BLOB_GET) === 1);
  const working = ask(`${cache.url}/v2/ghcr.io/owner/b/blobs/${digest}`);
  await ghcr.until(() => ghcr.count({ method: "HEAD" }) === 1);
  rest.open();
  assert.equal((await failing).status, 404);
  assert.ok((await working).body.equals(BYTES));
});

test("a fill whose upstream goes away is finished by the upstream of another repository that is proven to have the blob", async (t) => {
  const [hub, ghcr] = [await fakeUpstream(t), await fakeUpstream(t)];
  const digest = hub.addBlob("library/a", BYTES);
  ghcr.addBlob("owner/b", BYTES);
  hub.script(BLOB_GET, { kind: "hold", atByte: 500_000, until: gate().promise });
  const cache = await startCache(t, [testRegistry(hub.url), second(ghcr.url)]);
  const first = ask(`${cache.url}/v2/library/a/blobs/${digest}`);
  await hub.until(() => hub.requests.some((one) => one.bytesSent >= 500_000));
  const other = await open(`${cache.url}/v2/ghcr.io/owner/b/blobs/${digest}`);
  await hub.stop();
  assert.ok(Buffer.concat((await other.toArray()) as Buffer[]).equals(BYTES));
  assert.ok((await first).body.equals(BYTES));
  assert.equal(ghcr.count(BLOB_GET), 1);
  assert.match(String(ghcr.requests.at(-1)?.headers.range), /^bytes=[1-9]\d*-$/);
});

test("a crowd before an upstream that refuses costs one try, not one for each client", async (t) => {
  const upstream = await fakeUpstream(t);
  const digest = upstream.addBlob("library/a", BYTES);
  upstream.script(BLOB_GET, { kind: "status", status: 403, times: Infinity });
  const cache = await startCache(t, [testRegistry(upstream.url)]);
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(`${cache.url}/v2/library/a/blobs/${digest}`)));
  assert.ok(answers.every((answer) => answer.status === 403));
  assert.equal(upstream.count(BLOB_GET), 1);
});

test("whose credentials fetched what is recorded for manifests and layers, by each repository's own registry", async (t) => {
  const options = { auth: "bearer", users: { me: "secret" } } as const;
  const [open_, closed] = [
    await fakeUpstream(t),
    await fakeUpstream(t, { ...options, privateRepositories: ["team/app"] }),
  ];
  const image = closed.addImage("team/app", "1", { layers: [MIB] });
  const layer = image.layers[0];
  assert.ok(layer !== undefined);
  open_.addBlob("library/a", layer.bytes);
  const credentials = { kind: "basic", username: "me", password: "secret" } as const;
  const cache = await startCache(t, [testRegistry(open_.url), second(closed.url, { credentials })]);
  const rest = gate();
  open_.script(BLOB_GET, { kind: "hold", atByte: 500_000, until: rest.promise });
  const anonymous = ask(`${cache.url}/v2/library/a/blobs/${layer.digest}`);
  await open_.until(() => open_.requests.some((one) => one.bytesSent >= 500_000));
  await ask(`${cache.url}/v2/ghcr.io/team/app/manifests/1`);
  const joined = ask(`${cache.url}/v2/ghcr.io/team/app/blobs/${layer.digest}`);
  await new Promise(setImmediate);
  rest.open();
  await Promise.all([anonymous, joined]);
  await cache.stop();

  const db = new DatabaseSync(join(cache.dataDir, "catalog.sqlite"), { readOnly: true });
  const rows = db
    .prepare(
      `select r.path, x.digest, x.fetched_with as who from (select repository_id, digest, fetched_with from manifests
       union all select repository_id, digest, fetched_with from blobs) x join repositories r on r.id = x.repository_id`,
    )
    .all() as { path: string; digest: string; who: string | null }[];
  db.close();
  const who = (path: string, digest: string) => rows.find((row) => row.path === path && row.digest === digest)?.who;
  assert.equal(who("docker.io/library/a", layer.digest), null);
  assert.match(String(who("ghcr.io/team/app", layer.digest)), /^basic:/);
  assert.match(String(who("ghcr.io/team/app", image.digest)), /^basic:/);
  assert.doesNotMatch(JSON.stringify(rows), /secret/);
});
