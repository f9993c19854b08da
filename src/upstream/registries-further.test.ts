/** Quirks of registries that are not built in, each played by the fake upstream. */
import assert from "node:assert/strict";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { seededBytes } from "../../test/support/bytes.ts";
import { failsAs, name, patient, sent, startBench, tag, tokenQueries } from "../../test/support/upstreams.ts";

const app = name("team/app");
const latest = tag("latest");

const pkgDev = {
  hosts: { registry: "europe-docker.pkg.test" },
  auth: {
    challenge: ({ repository, realm }: { repository: string | undefined; realm: string }) => [
      `Bearer realm="${realm}"${repository === undefined ? "" : ',service="europe-docker.pkg.test"'}`,
    ],
  },
  token: { host: "registry", path: "/v2/token", service: "europe-docker.pkg.test" },
} as const;

test("*-docker.pkg.dev: the service stands on resources only, so it is taken from there", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: pkgDev });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  assert.equal(tokenQueries(fake)[0]?.get("service"), "europe-docker.pkg.test");
});

test("*-docker.pkg.dev: private or unknown is 403 at the token service", async (t) => {
  const { upstream } = await startBench(t, { fake: { ...pkgDev, hidden: { at: "token", status: 403 } } });
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("forbidden", 403));
});

test("mcr.microsoft.com: no challenge, no token; blobs from a subdomain per region", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: { hosts: { registry: "mcr.test", cdn: "westeurope.data.mcr.test" }, redirectBlobs: true },
  });
  const digest = fake.addBlob(app, seededBytes(300));
  const { body } = await upstream.openBlob(app, digest, undefined, patient());
  assert.equal((await buffer(body)).length, 300);
  assert.deepEqual(sent(fake), ["registry GET blobs/<digest> anonymous 307", "cdn GET /data/<digest> anonymous 200"]);
});

test("mcr.microsoft.com: credentials that nobody asks for are not sent", async (t) => {
  const { fake, upstream } = await startBench(t, {
    registry: { credentials: { kind: "basic", username: "alice", password: "secret" } },
  });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  assert.deepEqual(sent(fake), ["registry HEAD manifests/latest anonymous 200"]);
});

test("nvcr.io: an expired token is renewed at the original realm, not at the dead end it then names", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: {
      hosts: { registry: "nvcr.test" },
      auth: {
        challenge: ({ realm, stale }) => [`Bearer realm="${stale ? realm.replace("proxy_auth", "dead_end") : realm}"`],
      },
      users: { $oauthtoken: "key" },
      anonymous: false,
      token: { host: "registry", path: "/proxy_auth", expiresInS: 300 },
    },
    registry: { credentials: { kind: "basic", username: "$oauthtoken", password: "key" } },
  });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  fake.expireTokens();
  await upstream.headManifest(app, latest, patient());
  assert.deepEqual(sent(fake), [
    "registry HEAD manifests/latest anonymous 401",
    "token GET /proxy_auth basic 200",
    "registry HEAD manifests/latest token 200",
    "registry HEAD manifests/latest token 401",
    "token GET /proxy_auth basic 200",
    "registry HEAD manifests/latest token 200",
  ]);
  assert.deepEqual([...(tokenQueries(fake)[0] ?? [])], [["scope", "repository:team/app:pull"]]);
});

test("nvcr.io: where the token service really has moved, the question after the failed one finds it", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { auth: "bearer", token: { expiresInS: 300 } } });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  fake.expireTokens();
  fake.script({ role: "token" }, { kind: "status", status: 404 });
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("not-found"));
  fake.requests.length = 0;
  await upstream.headManifest(app, latest, patient());
  assert.equal(sent(fake)[0], "registry HEAD manifests/latest anonymous 401");
});

test("registry.access.redhat.com: no digest header, manifests of type text/plain", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { digestHeader: false } });
  const image = fake.addImage(app, "latest");
  fake.script({}, { kind: "headers", set: { "content-type": "text/plain; charset=utf-8" } });
  const manifest = await upstream.getManifest(app, latest, patient());
  assert.equal(manifest.digest, undefined);
  assert.equal(manifest.mediaType, "text/plain");
  assert.deepEqual(Buffer.from(manifest.bytes), Buffer.from(image.bytes));
});

test("docker.elastic.co: another host's token service that sends access_token only", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: {
      hosts: { registry: "docker.elastic.test", token: "docker-auth.elastic.test" },
      auth: "bearer",
      token: { path: "/auth", service: "token-service", field: "access_token" },
    },
    registry: { realms: ["docker-auth.elastic.test"] },
  });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  assert.equal(tokenQueries(fake)[0]?.get("service"), "token-service");
});

test("cgr.dev: its own realm, blobs from R2, which takes no Authorization", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: {
      hosts: { registry: "cgr.test", cdn: "bucket.r2.test" },
      auth: "bearer",
      token: { host: "registry" },
      redirectBlobs: 307,
    },
  });
  const digest = fake.addBlob(app, seededBytes(300));
  const { body } = await upstream.openBlob(app, digest, undefined, patient());
  assert.equal((await buffer(body)).length, 300);
  assert.equal(sent(fake).at(-1), "cdn GET /data/<digest> anonymous 200");
});

test("xpkg.upbound.io: the token service says 404 for an unknown repository", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: {
      auth: "bearer",
      token: { host: "registry", path: "/service/token" },
      hidden: { at: "token", status: 404 },
    },
  });
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("not-found", 404));
  assert.equal(sent(fake, { role: "token" })[0], "token GET /service/token anonymous 404");
});

test("xpkg.upbound.io: a realm without a host is one of the registry's own", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: {
      auth: { challenge: () => ['Bearer realm="/service/token"'] },
      token: { host: "registry", path: "/service/token" },
    },
  });
  const image = fake.addImage(app, "latest");
  assert.equal((await upstream.headManifest(app, latest, patient())).digest, image.digest);
});

test("registry.istio.io: a redirector whose blob HEAD has no Content-Length", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { redirectBlobs: 302 } });
  const digest = fake.addBlob(app, seededBytes(300));
  fake.script({ role: "cdn", method: "HEAD" }, { kind: "length", contentLength: undefined });
  assert.deepEqual(await upstream.probeBlob(app, digest, patient()), { size: 300 });
  assert.deepEqual(sent(fake, { role: "cdn" }), [
    "cdn HEAD /data/<digest> anonymous 200",
    "cdn GET /data/<digest> anonymous 206",
  ]);
});

test("dhi.io: a stale token refused without a challenge leads to a new one", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: { auth: "bearer", staleToken: 401, token: { expiresInS: 300 } },
  });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  fake.expireTokens();
  await upstream.headManifest(app, latest, patient());
  assert.equal(fake.count({ role: "token" }), 2);
});

test("a registry behind Basic only: credentials go to it once it has asked, and are not renewed when refused", async (t) => {
  const credentials = { kind: "basic", username: "alice", password: "secret" } as const;
  const { fake, upstream } = await startBench(t, {
    fake: { auth: "basic", users: { alice: "secret" }, redirectBlobs: true },
    registry: { credentials },
  });
  const digest = fake.addBlob(app, seededBytes(300));
  for (let time = 0; time < 2; time += 1) {
    const { body } = await upstream.openBlob(app, digest, undefined, patient());
    await buffer(body);
  }
  assert.deepEqual(sent(fake), [
    "registry GET blobs/<digest> anonymous 401",
    "registry GET blobs/<digest> basic 307",
    "cdn GET /data/<digest> anonymous 200",
    "registry GET blobs/<digest> basic 307",
    "cdn GET /data/<digest> anonymous 200",
  ]);
});

test("a registry behind Basic only is closed to anonymous", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { auth: "basic", users: { alice: "secret" } } });
  fake.addImage(app, "latest");
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("unauthorized", 401));
  assert.equal(fake.requests.length, 1);
});
