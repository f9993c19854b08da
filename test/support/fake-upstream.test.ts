import assert from "node:assert/strict";
import { access, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite, test } from "node:test";
import { deflateSync } from "node:zlib";
import { Agent, request } from "undici";
import { seededBytes, sha256, sha512 } from "./bytes.ts";
import { selfSignedCertificate } from "./certificate.ts";
import { BLOB, BYTES, DIGEST, REPOSITORY, broken, get, start } from "./fake-upstream/fixture.ts";
import { tempDir } from "./temp.ts";

suite("the fake upstream serves", () => {
  test("blobs whole, by range, and their headers alone", async () => {
    await using fake = await start();
    const whole = await get(fake.url + BLOB);
    assert.equal(whole.status, 200);
    assert.deepEqual(whole.bytes, BYTES);
    assert.equal(whole.headers["docker-content-digest"], DIGEST);
    for (const [range, first, end] of [
      ["bytes=10-19", 10, 20],
      ["bytes=99990-", 99_990, 100_000],
      ["bytes=-7", 99_993, 100_000],
    ] as const) {
      const part = await get(fake.url + BLOB, { range });
      assert.equal(part.status, 206);
      assert.deepEqual(part.bytes, BYTES.subarray(first, end));
      assert.equal(part.headers["content-range"], `bytes ${first}-${end - 1}/100000`);
    }
    const beyond = await get(fake.url + BLOB, { range: "bytes=100000-" });
    assert.deepEqual([beyond.status, beyond.headers["content-range"]], [416, "bytes */100000"]);
    const head = await get(fake.url + BLOB, {}, "HEAD");
    assert.deepEqual([head.status, head.headers["content-length"], head.bytes.length], [200, "100000", 0]);
    assert.equal((await get(`${fake.url}/v2/${REPOSITORY}/blobs/${sha256(Buffer.from("other"))}`)).status, 404);
  });

  test("images and indexes, the same ones for the same seed", async () => {
    await using fake = await start();
    const image = fake.addImage("a/b", "1", { layers: [10, 20], seed: 5 });
    const again = fake.addImage("c/d", "1", { layers: [10, 20], seed: 5 });
    const other = fake.addImage("c/d", "2", { layers: [10, 20] });
    assert.equal(image.digest, again.digest);
    assert.notEqual(image.layers[0]?.digest, other.layers[0]?.digest);
    const byTag = await get(`${fake.url}/v2/a/b/manifests/1`);
    assert.deepEqual(byTag.bytes, image.bytes);
    assert.equal(byTag.headers["docker-content-digest"], sha256(byTag.bytes));
    assert.equal(byTag.headers["content-type"], image.mediaType);
    const layer = await get(`${fake.url}/v2/a/b/blobs/${image.layers[1]?.digest}`);
    assert.deepEqual([layer.bytes.length, sha256(layer.bytes)], [20, image.layers[1]?.digest]);
    const index = fake.addIndex("a/b", "multi", ["linux/amd64", "linux/arm64/v8"]);
    assert.deepEqual((await get(`${fake.url}/v2/a/b/manifests/multi`)).bytes, index.bytes);
    for (const child of index.images) {
      assert.deepEqual((await get(`${fake.url}/v2/a/b/manifests/${child.digest}`)).bytes, child.bytes);
    }
    fake.setTag("a/b", "1", index.digest);
    assert.deepEqual((await get(`${fake.url}/v2/a/b/manifests/1`)).bytes, index.bytes);
    fake.deleteTag("a/b", "1");
    assert.equal((await get(`${fake.url}/v2/a/b/manifests/1`)).status, 404);
    fake.deleteContent("a/b", index.digest);
    assert.equal((await get(`${fake.url}/v2/a/b/manifests/${index.digest}`)).status, 404);
  });

  test("tags page by page, with relative and absolute links", async () => {
    for (const absoluteLinks of [false, true]) {
      await using fake = await start({ tagsPageMax: 2, absoluteLinks });
      for (const tag of ["c", "a", "b"]) fake.addImage("a/b", tag);
      const first = await get(`${fake.url}/v2/a/b/tags/list?n=1000`);
      assert.deepEqual(JSON.parse(first.bytes.toString()), { name: "a/b", tags: ["a", "b"] });
      const origin = absoluteLinks ? fake.url : "";
      assert.equal(first.headers["link"], `<${origin}/v2/a/b/tags/list?last=b&n=2>; rel="next"`);
      const second = await get(`${fake.url}/v2/a/b/tags/list?last=b&n=2`);
      assert.deepEqual(JSON.parse(second.bytes.toString()), { name: "a/b", tags: ["c"] });
      assert.equal(second.headers["link"], undefined);
    }
  });

  test("referrers natively, not at all, or as a web page", async () => {
    await using native = await start({ referrersPageMax: 1 });
    const subject = native.addImage("a/b", "1");
    const add = (artifactType: string) =>
      native.addManifest("a/b", { artifactType, subject: { digest: subject.digest }, layers: [] });
    const [sbom] = [add("application/sbom"), add("application/signature")];
    const url = `${native.url}/v2/a/b/referrers/${subject.digest}`;
    const first = await get(url);
    assert.match(String(first.headers["link"]), /skip=1>; rel="next"/);
    const manifests = (JSON.parse(first.bytes.toString()) as { manifests: { digest: string }[] }).manifests;
    assert.deepEqual(
      manifests.map((one) => one.digest),
      [sbom],
    );
    assert.equal((await get(`${url}?artifactType=x`)).headers["oci-filters-applied"], "artifactType");

    await using none = await start({ referrers: 404 });
    assert.equal((await get(`${none.url}/v2/${REPOSITORY}/referrers/${DIGEST}`)).status, 404);
    await using html = await start({ referrers: "redirect-html" });
    const away = await get(`${html.url}/v2/${REPOSITORY}/referrers/${DIGEST}`);
    assert.equal(away.status, 303);
    assert.match(String((await get(String(away.headers["location"]))).headers["content-type"]), /^text\/html/);
  });

  test("blobs by signed URLs that refuse credentials, other methods, other digests and too many uses", async () => {
    await using fake = await start({ redirectBlobs: true, signedUrlUses: 2 });
    const away = await get(fake.url + BLOB);
    const location = String(away.headers["location"]);
    assert.equal(away.status, 307);
    assert.ok(location.startsWith(fake.cdnUrl));
    assert.equal((await get(location, { authorization: "Bearer x" })).status, 400);
    assert.equal((await get(location, {}, "HEAD")).status, 403);
    assert.equal((await get(location.replace(DIGEST, sha256(Buffer.from("other"))))).status, 403);
    assert.deepEqual((await get(location, { range: "bytes=5-" })).bytes, BYTES.subarray(5));
    const whole = await get(location);
    assert.deepEqual([whole.bytes.length, whole.headers["docker-content-digest"]], [BYTES.length, undefined]);
    assert.equal((await get(location)).status, 403);
    const fresh = String((await get(fake.url + BLOB)).headers["location"]);
    fake.expireSignedUrls();
    assert.equal((await get(fresh)).status, 403);
    assert.equal(fake.count({ role: "cdn" }), 7);
  });

  test("everything by redirect without its query, as registry.k8s.io does", async () => {
    await using fake = await start({ redirectManifests: true });
    const image = fake.addImage("pause", "3.9");
    const away = await get(`${fake.url}/v2/pause/manifests/3.9?ns=registry.k8s.io`);
    assert.deepEqual([away.status, away.headers["location"]], [307, `${fake.cdnUrl}/v2/pause/manifests/3.9`]);
    assert.deepEqual((await get(String(away.headers["location"]))).bytes, image.bytes);
    assert.equal((await get(String(away.headers["location"]), { authorization: "Bearer x" })).status, 400);
    await using guarded = await start({ redirectManifests: true, auth: "bearer", cdnAuth: "bearer" });
    assert.equal((await get(`${guarded.cdnUrl}/v2/${REPOSITORY}/manifests/1`)).status, 401);
  });

  test("schema 1 to a client that names no newer type, as quay.io does", async () => {
    await using fake = await start({ accept: "schema1" });
    const image = fake.addImage("a/b", "1");
    const old = await get(`${fake.url}/v2/a/b/manifests/1`);
    assert.match(String(old.headers["content-type"]), /v1\+prettyjws$/);
    const full = await get(`${fake.url}/v2/a/b/manifests/1`, { accept: image.mediaType });
    assert.deepEqual(full.bytes, image.bytes);
  });

  test("blob HEAD as configured", async () => {
    await using fake = await start({ blobHead: 401 });
    assert.equal((await get(fake.url + BLOB, {}, "HEAD")).status, 401);
    assert.equal((await get(fake.url + BLOB)).status, 200);
    await using signed = await start({ redirectBlobs: 302, cdnHead: 403 });
    const away = await get(signed.url + BLOB, {}, "HEAD");
    assert.equal(away.status, 302);
    assert.equal((await get(String(away.headers["location"]), {}, "HEAD")).status, 403);
  });
});

suite("the fake upstream as a process", () => {
  test("stops answering and comes back on the same ports", async () => {
    await using fake = await start();
    fake.script({ path: "/blobs/" }, { kind: "stall", atByte: 10 });
    const cut = broken(fake.url + BLOB);
    await fake.until(() => fake.requests[0]?.bytesSent === 10);
    await fake.stop();
    assert.equal((await cut).failed, true);
    await assert.rejects(get(fake.url + BLOB), { code: "ECONNREFUSED" });
    await fake.restart();
    assert.deepEqual((await get(fake.url + BLOB)).bytes, BYTES);
  });

  test("serves hundreds of slow connections at once", async () => {
    await using fake = await start();
    const gate = Promise.withResolvers<void>();
    fake.script({ path: "/blobs/" }, { kind: "hold", atByte: 1000, until: gate.promise, times: Infinity });
    const agent = new Agent({ connections: 300 });
    const one = async () => {
      const { body } = await request(fake.url + BLOB, { dispatcher: agent });
      return sha256(new Uint8Array(await body.arrayBuffer()));
    };
    const all = Array.from({ length: 300 }, one);
    await fake.until(
      () => fake.connections("registry").open === 300 && fake.requests.every((r) => r.bytesSent === 1000),
    );
    gate.resolve();
    assert.deepEqual(new Set(await Promise.all(all)), new Set([DIGEST]));
    await agent.destroy();
  });

  test("speaks TLS with a certificate of its own, under other names", async () => {
    const tls = selfSignedCertificate(["registry.test", "127.0.0.1"]);
    await using fake = await start({ tls, redirectBlobs: true, hosts: { cdn: "cdn.test" } });
    const agent = new Agent({ connect: { ca: tls.cert } });
    const { statusCode, headers } = await request(fake.url + BLOB, { dispatcher: agent });
    assert.deepEqual([statusCode, String(headers["location"]).startsWith("https://cdn.test:")], [307, true]);
    await assert.rejects(request(fake.url + BLOB), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
    const named = new Agent({ connect: { ca: tls.cert, servername: "registry.test" } });
    assert.equal((await request(fake.url + BLOB, { dispatcher: named })).statusCode, 307);
    const wrong = new Agent({ connect: { ca: tls.cert, servername: "other.test" } });
    await assert.rejects(request(fake.url + BLOB, { dispatcher: wrong }), { code: "ERR_TLS_CERT_ALTNAME_INVALID" });
    await Promise.all([agent, named, wrong].map((one) => one.destroy()));
  });

  test("holds a large blob once, and sends it to many at the pace of each", async () => {
    await using fake = await start({ bytesPerSecond: 100_000_000 });
    const large = seededBytes(64 * 1024 * 1024, "large");
    const digest = fake.addBlob(REPOSITORY, large);
    const before = process.memoryUsage().arrayBuffers;
    const readers = Array.from({ length: 20 }, async () => {
      const { body } = await request(`${fake.url}/v2/${REPOSITORY}/blobs/${digest}`);
      return body.on("error", () => {});
    });
    const bodies = await Promise.all(readers);
    await fake.until(() => fake.requests.every((one) => one.bytesSent > 0));
    assert.ok(
      fake.requests.every((one) => one.bytesSent < large.length),
      "sent to readers that do not read",
    );
    assert.ok(process.memoryUsage().arrayBuffers - before < large.length, "copies were made");
    for (const body of bodies) body.destroy();
    await fake.until(() => fake.requests.every((one) => one.closed));
  });
});

suite("made content", () => {
  test("is the same for a seed, another for another, and does not compress", () => {
    const bytes = seededBytes(3_000_000, "seed");
    assert.deepEqual(seededBytes(3_000_000, "seed"), bytes);
    assert.notDeepEqual(seededBytes(100, "other"), bytes.subarray(0, 100));
    assert.deepEqual(seededBytes(100, "seed"), bytes.subarray(0, 100));
    assert.ok(deflateSync(bytes).length >= bytes.length);
    assert.equal(seededBytes(0).length, 0);
  });

  test("may have SHA-512 digests and Docker's types", async () => {
    await using fake = await start();
    const bytes = seededBytes(10);
    assert.equal(fake.addBlob("a/b", bytes, "sha512"), sha512(bytes));
    assert.deepEqual((await get(`${fake.url}/v2/a/b/blobs/${sha512(bytes)}`)).bytes, bytes);
    const image = fake.addImage("a/b", "docker", { flavour: "docker" });
    const manifest = await get(`${fake.url}/v2/a/b/manifests/docker`);
    assert.match(
      String(manifest.headers["content-type"]),
      /^application\/vnd\.docker\.distribution\.manifest\.v2\+json$/,
    );
    const digest = fake.addManifest("a/b", image.bytes, { tag: "512", algorithm: "sha512" });
    assert.match(digest, /^sha512:/);
    assert.equal((await get(`${fake.url}/v2/a/b/manifests/512`)).headers["docker-content-digest"], digest);
  });

  test("of a test's own folder is gone after the test", async () => {
    const afters: (() => Promise<void>)[] = [];
    const folder = await tempDir({ after: (run) => void afters.push(run) });
    await writeFile(join(folder, "file"), "content");
    for (const run of afters) await run();
    await assert.rejects(access(folder), { code: "ENOENT" });
  });
});
