/** Quirks of docker.io, ghcr.io and quay.io, each played by the fake upstream; `ghcr.test` stands for ghcr.io and so on. */
import assert from "node:assert/strict";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { seededBytes } from "../../test/support/bytes.ts";
import { failsAs, name, patient, sent, startBench, tag, tokenQueries } from "../../test/support/upstreams.ts";
import { digestOf } from "../oci/digest.ts";

const app = name("team/app");
const latest = tag("latest");

test("docker.io: a realm on another host, its exact service, blobs from a content network", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: {
      hosts: {
        registry: "registry-1.docker.test",
        token: "auth.docker.test",
        cdn: "production.cloudflare.docker.test",
      },
      auth: "bearer",
      token: { service: "registry.docker.io", expiresInS: 300 },
      redirectBlobs: true,
    },
    registry: { realms: ["auth.docker.test"] },
  });
  const nginx = name("library/nginx");
  const image = fake.addImage(nginx, "latest");
  const head = await upstream.headManifest(nginx, latest, patient());
  assert.deepEqual(head, { digest: image.digest, mediaType: image.mediaType, size: image.bytes.length });
  const { body, size } = await upstream.openBlob(nginx, image.config.digest, undefined, patient());
  assert.deepEqual(await buffer(body), Buffer.from(image.config.bytes));
  assert.equal(size, image.config.bytes.length);
  assert.deepEqual(sent(fake), [
    "registry HEAD manifests/latest anonymous 401",
    "token GET /token anonymous 200",
    "registry HEAD manifests/latest token 200",
    "registry GET blobs/<digest> token 307",
    "cdn GET /data/<digest> anonymous 200",
  ]);
  assert.deepEqual(
    [...(tokenQueries(fake)[0] ?? [])],
    [
      ["service", "registry.docker.io"],
      ["scope", "repository:library/nginx:pull"],
    ],
  );
});

test("docker.io: the limit's 429 is reported with its time, and then respected", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.addImage(app, "latest");
  fake.script({ method: "GET" }, { kind: "status", status: 429, headers: { "retry-after": "120" } });
  await assert.rejects(upstream.getManifest(app, latest, patient()), (error) => {
    assert.ok(failsAs("rate-limited", 429)(error));
    return (error as { retryAfterS?: number }).retryAfterS === 120;
  });
  assert.equal(upstream.available, false);
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("rate-limited", 429));
  assert.equal(fake.requests.length, 1);
});

const ghcr = {
  hosts: { registry: "ghcr.test", cdn: "pkg-containers.githubusercontent.test" },
  auth: "bearer",
  token: { host: "registry", service: "ghcr.io" },
} as const;

test("ghcr.io: a placeholder scope is replaced by the repository's own", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: {
      ...ghcr,
      auth: {
        challenge: ({ realm }) => [`Bearer realm="${realm}",service="ghcr.io",scope="repository:user/image:pull"`],
      },
    },
  });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  assert.equal(tokenQueries(fake)[0]?.get("scope"), "repository:team/app:pull");
});

for (const [status, kind] of [
  [401, "unauthorized"],
  [403, "forbidden"],
] as const) {
  test(`ghcr.io: a private or unknown repository is ${status} at the token service`, async (t) => {
    const { upstream } = await startBench(t, { fake: { ...ghcr, hidden: { at: "token", status } } });
    await assert.rejects(upstream.headManifest(name("no/such"), latest, patient()), failsAs(kind, status));
  });
}

test("ghcr.io: HEAD fails at the signed store, so the size comes from one byte's GET", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { ...ghcr, redirectBlobs: true, cdnHead: 403 } });
  const digest = fake.addBlob(app, seededBytes(5000));
  assert.deepEqual(await upstream.probeBlob(app, digest, patient()), { size: 5000 });
  assert.deepEqual(sent(fake, { role: "cdn" }), [
    "cdn HEAD /data/<digest> anonymous 403",
    "cdn GET /data/<digest> anonymous 206",
  ]);
});

test("ghcr.io: referrers that lead to a web page mean that there is no referrers API; the page is not fetched", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { ...ghcr, referrers: "redirect-html" } });
  const image = fake.addImage(app, "latest");
  assert.equal(await upstream.getReferrers(app, image.digest, patient()), undefined);
  assert.equal(sent(fake).at(-1), "registry GET referrers/<digest> token 303");
});

test("ghcr.io: referrers 404 means that there is no referrers API", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { ...ghcr, referrers: 404 } });
  const image = fake.addImage(app, "latest");
  assert.equal(await upstream.getReferrers(app, image.digest, patient()), undefined);
});

test("ghcr.io: DENIED without a challenge on a token that went bad leads to a new token", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: { ...ghcr, staleToken: 403, token: { ...ghcr.token, expiresInS: 300 } },
  });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  fake.expireTokens();
  await upstream.headManifest(app, latest, patient());
  assert.equal(fake.count({ role: "token" }), 2);
});

const quay = {
  hosts: { registry: "quay.test", cdn: "cdn01.quay.test" },
  auth: "bearer",
  token: { host: "registry", path: "/v2/auth", scopeNeeded: true },
  redirectBlobs: 302,
  tagsPageMax: 100,
  absoluteLinks: true,
  accept: "schema1",
} as const;

test("quay.io: an unknown repository is a 401 even with a new token; it is reported after that one token", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { ...quay, hidden: { at: "resource", status: 401 } } });
  await assert.rejects(upstream.headManifest(name("no/such"), latest, patient()), failsAs("unauthorized", 401));
  assert.deepEqual(sent(fake), [
    "registry HEAD manifests/latest anonymous 401",
    "token GET /v2/auth anonymous 200",
    "registry HEAD manifests/latest token 401",
  ]);
});

test("quay.io: the manifest comes as it was pushed, not converted to schema 1", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: quay });
  const image = fake.addImage(app, "latest");
  const { bytes, mediaType } = await upstream.getManifest(app, latest, patient());
  assert.equal(mediaType, image.mediaType);
  assert.equal(digestOf(bytes), image.digest);
});

test("quay.io: more than 100 tags come in pages with absolute links", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: quay });
  const { digest } = fake.addImage(app, "v000");
  const tags = Array.from({ length: 250 }, (_, index) => `v${String(index).padStart(3, "0")}`);
  for (const one of tags) fake.setTag(app, one, digest);
  assert.deepEqual(await upstream.listTags(app, patient()), tags);
  assert.equal(fake.count({ path: "tags/list", authorized: true }), 3);
  assert.match(fake.requests.at(-1)?.path ?? "", /last=v199/);
});

test("quay.io: cdn01.quay.io is another host and gets no token", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: quay });
  const digest = fake.addBlob(app, seededBytes(100));
  const { body } = await upstream.openBlob(app, digest, undefined, patient());
  await buffer(body);
  assert.deepEqual(sent(fake, { role: "cdn" }), ["cdn GET /data/<digest> anonymous 200"]);
});

test("quay.io: anonymous tokens are never asked for without a scope", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: { ...quay, auth: { challenge: ({ realm }) => [`Bearer realm="${realm}",service="quay.io"`] } },
  });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  assert.equal(tokenQueries(fake)[0]?.get("scope"), "repository:team/app:pull");
});
