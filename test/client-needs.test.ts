import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { seededBytes, sha256 } from "./support/bytes.ts";
import { startCache, testRegistry } from "./support/cache.ts";
import { ask, errorCode, open, readSome } from "./support/client.ts";
import { type FakeUpstreamOptions, startFakeUpstream } from "./support/fake-upstream.ts";
import { eventually, openFiles } from "./support/open-files.ts";

/** What clients need of a mirror beyond the specification, each as the client does it. URL shapes have a file of their own. */

const MIB = 1024 * 1024;

interface Setting {
  readonly upstream?: FakeUpstreamOptions;
  readonly registry?: Parameters<typeof testRegistry>[1];
}

async function setUp(t: TestContext, { upstream: options = {}, registry = {} }: Setting = {}) {
  const upstream = await startFakeUpstream(options);
  t.after(async () => await upstream.stop());
  const image = upstream.addImage("library/app", "1", { layers: [1 * MIB, 2 * MIB] });
  const cache = await startCache(t, [testRegistry(upstream.url, registry)]);
  return { upstream, image, cache, url: `${cache.url}/v2/library/app` };
}

test("Docker, Podman: the ping is 200 at once, never a redirect or a challenge, whatever upstream does", async (t) => {
  const { upstream, cache } = await setUp(t, { upstream: { auth: "bearer", anonymous: false } });
  await upstream.stop();
  for (const method of ["GET", "HEAD"]) {
    const ping = await ask(`${cache.url}/v2/`, { method });
    assert.equal(ping.status, 200);
    assert.equal(ping.headers["www-authenticate"], undefined);
    assert.equal(ping.headers["content-length"], "3");
  }
  assert.equal(upstream.requests.length, 0);
});

test("Docker, containerd: HEAD of a manifest always has digest and length, be it held or not, and type", async (t) => {
  const { upstream, image, cache, url } = await setUp(t, { upstream: { digestHeader: false } });
  upstream.script({ path: "/manifests/" }, { kind: "length", contentLength: undefined, times: Infinity });
  for (let time = 0; time < 2; time++) {
    for (const reference of ["1", image.digest]) {
      const head = await ask(`${url}/manifests/${reference}`, { method: "HEAD" });
      assert.equal(head.status, 200);
      assert.equal(head.headers["docker-content-digest"], image.digest);
      assert.equal(head.headers["content-length"], String(image.size));
      assert.equal(head.headers["content-type"], image.mediaType);
    }
    const byDigest = await ask(`${url}/manifests/${image.digest}`);
    assert.equal(sha256(byDigest.body), image.digest, "a GET that follows must not fail");
  }
  await cache.app.idle();
});

test("Docker: what upstream refuses is no challenge of ours, which would be answered with the Docker Hub password", async (t) => {
  const { url } = await setUp(t, { upstream: { auth: "bearer", privateRepositories: ["library/app"] } });
  for (const path of ["manifests/1", `blobs/${sha256(Buffer.from("x"))}`, "tags/list"]) {
    const answer = await ask(`${url}/${path}`);
    assert.deepEqual([answer.status, errorCode(answer)], [403, "DENIED"], path);
    assert.equal(answer.headers["www-authenticate"], undefined);
  }
});

test("containerd, Docker: credentials that a client sends reach no upstream", async (t) => {
  const { upstream, image, url } = await setUp(t, { upstream: { redirectBlobs: true } });
  const headers = { Authorization: "Basic aHVidXNlcjpodWJwYXNz", Cookie: "a=b", "X-Registry-Auth": "e30=" };
  await ask(`${url}/manifests/1`, { headers });
  await ask(`${url}/blobs/${image.config.digest}`, { headers });
  await ask(`${url}/tags/list`, { headers });
  assert.ok(upstream.requests.length >= 4);
  for (const { headers: sent } of upstream.requests) {
    assert.deepEqual([sent.authorization, sent.cookie, sent["x-registry-auth"]], [undefined, undefined, undefined]);
  }
});

test("Docker: a layer is resumed with bytes=N- and the answer reaches the end of the blob, held or not", async (t) => {
  const { upstream, cache, image, url } = await setUp(t);
  const [layer] = image.layers;
  assert.ok(layer !== undefined);
  const at = 300_000;
  for (const blob of [layer.digest, layer.digest, upstream.addBlob("library/app", seededBytes(layer.size, "cold"))]) {
    const answer = await ask(`${url}/blobs/${blob}`, {
      headers: { Range: `bytes=${at}-`, "Accept-Encoding": "identity" },
    });
    assert.equal(answer.status, 206);
    assert.equal(answer.headers["content-range"], `bytes ${at}-${layer.size - 1}/${layer.size}`);
    assert.equal(answer.headers["content-length"], String(layer.size - at));
    assert.equal(answer.body.length, layer.size - at);
    await cache.app.idle();
  }
});

test("all: redirects of an upstream are followed here, a client never sees one", async (t) => {
  const { image, url } = await setUp(t, { upstream: { redirectBlobs: true, redirectManifests: true } });
  for (const path of [
    "manifests/1",
    `manifests/${image.digest}`,
    `blobs/${image.config.digest}`,
    "tags/list",
    `referrers/${image.digest}`,
  ]) {
    const answer = await ask(`${url}/${path}`);
    assert.equal(answer.status, 200, path);
    assert.equal(answer.headers["location"], undefined);
  }
});

test("all: content is never encoded, whatever the client takes and whatever upstream would rather send", async (t) => {
  const { upstream, image, url } = await setUp(t);
  const headers = { "Accept-Encoding": "zstd, gzip, deflate, br, *;q=0.5" };
  for (const path of ["manifests/1", `blobs/${image.config.digest}`, "tags/list"]) {
    const answer = await ask(`${url}/${path}`, { headers });
    assert.equal(answer.headers["content-encoding"], undefined, path);
    assert.equal(answer.headers["vary"], undefined, path);
    assert.equal(Number(answer.headers["content-length"]), answer.body.length);
  }
  for (const { headers: sent } of upstream.requests) {
    assert.ok(sent["accept-encoding"] === undefined || sent["accept-encoding"] === "identity");
  }
});

test("containerd 2.1: bytes=0- first, on manifests too, is 206 with everything", async (t) => {
  const { image, url } = await setUp(t);
  for (const path of [
    "manifests/1",
    `manifests/${image.digest}`,
    `blobs/${image.layers[0]?.digest}`,
    `blobs/${image.config.digest}`,
  ]) {
    for (let time = 0; time < 2; time++) {
      const answer = await ask(`${url}/${path}`, {
        headers: { Range: "bytes=0-", "Accept-Encoding": "zstd,gzip,deflate" },
      });
      assert.equal(answer.status, 206, path);
      const size = answer.body.length;
      assert.equal(answer.headers["content-range"], `bytes 0-${size - 1}/${size}`);
      assert.equal(sha256(answer.body), answer.headers["docker-content-digest"]);
    }
  }
});

test("containerd 2.1: open-ended ranges in parallel, each left after its chunk, cost one transfer and no descriptor", async (t) => {
  const { upstream, cache, url } = await setUp(t);
  const bytes = seededBytes(16 * MIB);
  const blob = `${url}/blobs/${upstream.addBlob("library/app", bytes)}`;
  const chunk = 2 * MIB;
  for (const when of ["cold", "held"]) {
    const chunks = Array.from({ length: bytes.length / chunk }, async (_, index) => {
      const response = await open(blob, { headers: { Range: `bytes=${index * chunk}-` } });
      assert.equal(response.statusCode, 206);
      const piece = (await readSome(response, chunk)).subarray(0, chunk);
      response.destroy();
      return piece;
    });
    assert.ok(Buffer.concat(await Promise.all(chunks)).equals(bytes), when);
    await cache.app.idle();
  }
  assert.equal(upstream.count({ method: "GET", path: "/blobs/" }), 1);
  const ofData = async () => (await openFiles()).filter((file) => /\/(?:blobs|spool)\//.test(file));
  await eventually(async () => (await ofData()).length === 0);
});

test("containerd: a body that breaks off is reopened with Range where it stopped, and both parts fit", async (t) => {
  const { image, url } = await setUp(t);
  const layer = image.layers[1];
  assert.ok(layer !== undefined);
  const response = await open(`${url}/blobs/${layer.digest}`);
  const first = await readSome(response, 500_000);
  response.destroy();
  const rest = await ask(`${url}/blobs/${layer.digest}`, { headers: { Range: `bytes=${first.length}-` } });
  assert.equal(rest.status, 206);
  assert.ok(Buffer.concat([first, rest.body]).equals(layer.bytes));
});

test("containerd 2.2: referrers are an index, empty if there are none, and the fallback tag then is 404", async (t) => {
  const { image, url } = await setUp(t);
  const answer = await ask(`${url}/referrers/${image.digest}?ns=docker.io`);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["content-type"], "application/vnd.oci.image.index.v1+json");
  assert.deepEqual((JSON.parse(answer.body.toString()) as { manifests: unknown }).manifests, []);
  const fallback = await ask(`${url}/manifests/${image.digest.replace(":", "-")}?ns=docker.io`);
  assert.deepEqual([fallback.status, errorCode(fallback)], [404, "MANIFEST_UNKNOWN"]);
});

test("Podman: an exact part is exactly that part, be the blob held or not", async (t) => {
  const { upstream, cache, url } = await setUp(t);
  const bytes = seededBytes(3 * MIB, "part");
  const blob = `${url}/blobs/${upstream.addBlob("library/app", bytes)}`;
  for (let time = 0; time < 2; time++) {
    const answer = await ask(blob, { headers: { Range: "bytes=1000000-1999999" } });
    assert.equal(answer.status, 206);
    assert.equal(answer.headers["content-range"], `bytes 1000000-1999999/${bytes.length}`);
    assert.ok(answer.body.equals(bytes.subarray(1_000_000, 2_000_000)));
    await cache.app.idle();
  }
});

test("Podman with zstd:chunked: several ranges are multipart or the whole, never a single part", async (t) => {
  const { image, cache, url } = await setUp(t);
  const blob = `${url}/blobs/${image.layers[0]?.digest}`;
  const many = Array.from({ length: 65 }, (_, index) => `${index * 10}-${index * 10 + 4}`).join(",");
  for (const when of ["cold", "held"]) {
    for (const ranges of ["0-3,1000-1003", "0-9,10-19", "0-9,5-14", "0-9,0-9", "-5,0-3", many]) {
      const answer = await ask(blob, { headers: { Range: `bytes=${ranges}` } });
      const type = String(answer.headers["content-type"]);
      const isParts = answer.status === 206 && type.startsWith("multipart/byteranges; boundary=");
      const isWhole = answer.status === 200 && sha256(answer.body) === image.layers[0]?.digest;
      assert.ok(isParts || isWhole, `${when} ${ranges}: ${answer.status} ${type}`);
      assert.equal(answer.headers["content-range"], undefined);
      assert.equal(Number(answer.headers["content-length"]), answer.body.length);
    }
    await cache.app.idle();
  }
});

test("Podman: Retry-After is small, even where upstream says an hour, since Podman sleeps it five times", async (t) => {
  const { upstream, url } = await setUp(t);
  const limited = { kind: "status", status: 429, headers: { "Retry-After": "3600" }, times: Infinity } as const;
  upstream.script({ path: "/v2/" }, limited);
  for (const path of ["manifests/1", `blobs/${sha256(Buffer.from("x"))}`, "tags/list"]) {
    const answer = await ask(`${url}/${path}`);
    assert.deepEqual([answer.status, errorCode(answer)], [429, "TOOMANYREQUESTS"], path);
    const seconds = Number(answer.headers["retry-after"]);
    assert.ok(seconds >= 1 && seconds <= 10, `Retry-After: ${answer.headers["retry-after"]}`);
  }
});

test("Podman: a pull stays with us once we gave the manifest, so its blobs are fetched, and a failure is no 404", async (t) => {
  const { upstream, image, cache, url } = await setUp(t);
  assert.equal((await ask(`${url}/manifests/1`)).status, 200);
  const again = await cache.restart();
  const blob = (digest: string) => `${again.url}/v2/library/app/blobs/${digest}`;
  assert.equal((await ask(blob(image.config.digest))).status, 200);
  await upstream.stop();
  const [layer] = image.layers;
  assert.ok(layer !== undefined);
  const answer = await ask(blob(layer.digest));
  assert.deepEqual([answer.status, errorCode(answer)], [502, "UNAVAILABLE"]);
});
