import assert from "node:assert/strict";
import { test } from "node:test";
import { seededBytes } from "../../test/support/bytes.ts";
import { failsAs, name, patient, sent, startBench, tag } from "../../test/support/upstreams.ts";
import { MANIFEST_BYTES_MAX } from "../oci/manifest.ts";
import { OCI_INDEX } from "../oci/media-types.ts";

const app = name("team/app");
const latest = tag("latest");

test("a manifest comes byte for byte, by tag and by digest, with its type and digest", async (t) => {
  const { fake, upstream } = await startBench(t);
  const index = fake.addIndex(app, "latest", ["linux/amd64", "linux/arm64/v8"]);
  for (const reference of [latest, { kind: "digest", digest: index.digest } as const]) {
    const { bytes, mediaType, digest } = await upstream.getManifest(app, reference, patient());
    assert.deepEqual(Buffer.from(bytes), Buffer.from(index.bytes));
    assert.equal(mediaType, OCI_INDEX);
    assert.equal(digest, index.digest);
  }
});

test("a type comes without its parameters", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.addImage(app, "latest");
  fake.script({}, { kind: "headers", set: { "content-type": `${OCI_INDEX}; charset=utf-8` } });
  assert.equal((await upstream.headManifest(app, latest, patient())).mediaType, OCI_INDEX);
});

test("a type that is not said is undefined", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.addImage(app, "latest");
  fake.script({}, { kind: "headers", remove: ["content-type"] });
  assert.equal((await upstream.headManifest(app, latest, patient())).mediaType, undefined);
});

for (const status of [405, 501]) {
  test(`a registry that answers HEAD of a manifest with ${status} says nothing, which is no error`, async (t) => {
    const { fake, upstream } = await startBench(t);
    fake.addImage(app, "latest");
    fake.script({ method: "HEAD" }, { kind: "status", status });
    const nothing = { digest: undefined, mediaType: undefined, size: undefined };
    assert.deepEqual(await upstream.headManifest(app, latest, patient()), nothing);
  });
}

test("a manifest that says it is too long is not read", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.addManifest(app, seededBytes(MANIFEST_BYTES_MAX * 4), { tag: "latest", mediaType: OCI_INDEX });
  await assert.rejects(upstream.getManifest(app, latest, patient()), failsAs("protocol"));
  await fake.until(() => fake.requests[0]?.closed === true);
  assert.ok((fake.requests[0]?.bytesSent ?? Infinity) < MANIFEST_BYTES_MAX * 4);
});

test("a manifest that turns out too long is read no further", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.addManifest(app, seededBytes(MANIFEST_BYTES_MAX + 1), { tag: "latest", mediaType: OCI_INDEX });
  fake.script({}, { kind: "length", contentLength: undefined });
  await assert.rejects(upstream.getManifest(app, latest, patient()), failsAs("protocol"));
});

test("the longest manifest that is allowed comes through", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.addManifest(app, seededBytes(MANIFEST_BYTES_MAX), { tag: "latest", mediaType: OCI_INDEX });
  assert.equal((await upstream.getManifest(app, latest, patient())).bytes.length, MANIFEST_BYTES_MAX);
});

test("a web page or an encoded body in place of a manifest is a protocol error", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.addImage(app, "latest");
  fake.script({}, { kind: "html" }, { kind: "html" }, { kind: "gzip" });
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("protocol", 200));
  await assert.rejects(upstream.getManifest(app, latest, patient()), failsAs("protocol", 200));
  await assert.rejects(upstream.getManifest(app, latest, patient()), failsAs("protocol", 200));
});

test("a manifest that is cut off is no manifest", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.addImage(app, "latest");
  fake.script({}, { kind: "cut", atByte: 10 });
  await assert.rejects(upstream.getManifest(app, latest, patient()), failsAs("unreachable"));
});

for (const [status, kind] of [
  [400, "protocol"],
  [402, "forbidden"],
  [404, "not-found"],
  [410, "not-found"],
  [429, "rate-limited"],
  [451, "forbidden"],
  [500, "server-error"],
  [503, "server-error"],
  [204, "protocol"],
  [304, "protocol"],
] as const) {
  test(`${status} is told as ${kind}`, async (t) => {
    const { fake, upstream } = await startBench(t);
    fake.addImage(app, "latest");
    fake.script({}, { kind: "status", status });
    await assert.rejects(upstream.getManifest(app, latest, patient()), failsAs(kind, status));
  });
}

test("an error's code is told, its text and its query are not", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.addImage(app, "latest");
  const body = JSON.stringify({ errors: [{ code: "DENIED", message: "secret text" }] });
  const location = `${fake.cdnUrl}/v2/team/app/manifests/latest?sig=secret`;
  fake.script({ role: "registry" }, { kind: "redirect", location });
  fake.script({ role: "cdn" }, { kind: "status", status: 403, body, headers: { "content-type": "application/json" } });
  await assert.rejects(upstream.getManifest(app, latest, patient()), (error: Error) => {
    assert.match(error.message, /DENIED/);
    assert.match(error.message, /GET cdn\.test:\d+: 403/, "another host's path may be a secret too");
    assert.doesNotMatch(error.message, /secret/);
    return true;
  });
});

test("an error whose body never ends does not keep the asker waiting for it", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.addImage(app, "latest");
  fake.script(
    {},
    {
      kind: "answer",
      handler: (_req, res) => {
        res.writeHead(503, { "content-type": "application/json" });
        res.write("{");
      },
    },
  );
  await assert.rejects(upstream.getManifest(app, latest, patient()), failsAs("server-error", 503));
});

test("a redirect without a Location, to itself for ever, or off the web is an error", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.addImage(app, "latest");
  fake.script({}, { kind: "status", status: 307 });
  await assert.rejects(upstream.getManifest(app, latest, patient()), failsAs("protocol"));
  fake.script({}, { kind: "redirect", location: "file:///etc/passwd" });
  await assert.rejects(upstream.getManifest(app, latest, patient()), failsAs("untrusted"));
  fake.script({}, { kind: "redirect", location: "/v2/team/app/manifests/latest", times: Infinity });
  await assert.rejects(upstream.getManifest(app, latest, patient()), failsAs("protocol"));
});

for (const [what, body] of [
  ["nothing", "{}"],
  ["an empty token", '{"token":""}'],
  ["a number", '{"token":7}'],
  ["a token that would break out of its header", '{"token":"a\\r\\nx-evil: 1"}'],
  ["no JSON", "token"],
  ["null", "null"],
] as const) {
  test(`a token service that issues ${what} is a protocol error`, async (t) => {
    const { fake, upstream } = await startBench(t, { fake: { auth: "bearer", token: { body } } });
    fake.addImage(app, "latest");
    await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("protocol"));
    assert.deepEqual(sent(fake), ["registry HEAD manifests/latest anonymous 401", "token GET /token anonymous 200"]);
  });
}

test("a token service that answers without end, by a page, by 429 or by 5xx", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { auth: "bearer", token: { body: "x".repeat(100_000) } } });
  fake.addImage(app, "latest");
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("protocol"));
  fake.script({ role: "token" }, { kind: "html" }, { kind: "status", status: 502 }, { kind: "status", status: 429 });
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("protocol", 200));
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("server-error", 502));
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("rate-limited", 429));
});
