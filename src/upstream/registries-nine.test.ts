/** The nine built-in registries' quirks, each played by the fake upstream; the named hosts stand for the real ones. */
import assert from "node:assert/strict";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { seededBytes } from "../../test/support/bytes.ts";
import {
  failsAs,
  lookupTest,
  name,
  patient,
  registryConfig,
  sent,
  startBench,
  tag,
  tokenQueries,
} from "../../test/support/upstreams.ts";
import { digestOf } from "../oci/digest.ts";
import { createUpstreams } from "./create.ts";

const app = name("team/app");
const latest = tag("latest");
const alice = { kind: "basic", username: "alice", password: "secret" } as const;
const absent = digestOf(Buffer.from("nowhere"));

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

const gcr = {
  hosts: { registry: "gcr.test" },
  auth: { challenge: ({ realm }: { realm: string }) => [`Bearer realm=${realm},service=gcr.io`] },
  token: { host: "registry", path: "/v2/token", service: "gcr.io" },
  staleToken: 401,
} as const;

test("gcr.io: an unquoted challenge is understood, and the token is asked for by GET", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: gcr });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  assert.equal(sent(fake, { role: "token" })[0], "token GET /v2/token anonymous 200");
});

test("gcr.io: 401 without a challenge on a stale token leads to a new token", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: gcr });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  fake.expireTokens();
  await upstream.headManifest(app, latest, patient());
  assert.deepEqual(sent(fake).slice(-3), [
    "registry HEAD manifests/latest token 401",
    "token GET /v2/token anonymous 200",
    "registry HEAD manifests/latest token 200",
  ]);
});

test("registry.k8s.io: everything is redirected, and the host that it leads to has a challenge of its own", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: {
      hosts: { registry: "registry.k8s.test", cdn: "us-docker.pkg.test", token: "token.pkg.test" },
      auth: "bearer",
      cdnAuth: "bearer",
      redirectManifests: true,
    },
    registry: { realms: ["*.pkg.test"], credentials: alice },
  });
  const image = fake.addImage(app, "latest");
  assert.equal((await upstream.headManifest(app, latest, patient())).digest, image.digest);
  assert.equal((await upstream.getManifest(app, latest, patient())).bytes.length, image.bytes.length);
  // The registry's credentials are not for whomever it leads to.
  assert.deepEqual(sent(fake), [
    "registry HEAD manifests/latest anonymous 307",
    "cdn HEAD manifests/latest anonymous 401",
    "token GET /token anonymous 200",
    "cdn HEAD manifests/latest token 200",
    "registry GET manifests/latest anonymous 307",
    "cdn GET manifests/latest token 200",
  ]);
});

test("registry.k8s.io: a host that it leads to cannot ask for a token wherever it likes", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: { auth: "bearer", cdnAuth: "bearer", redirectManifests: true },
    registry: { realms: ["*.pkg.test"] },
  });
  fake.addImage(app, "latest");
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("untrusted"));
  assert.equal(fake.count({ role: "token" }), 0);
});

test("registry.k8s.io: the redirect drops the query, and the pages after it are found all the same", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { redirectManifests: true, tagsPageMax: 2 } });
  for (const one of ["a", "b", "c", "d", "e"]) fake.addImage(app, one);
  assert.deepEqual(await upstream.listTags(app, patient()), ["a", "b", "c", "d", "e"]);
});

test("registry.k8s.io: a 404 of the host that it leads to is a 404", async (t) => {
  const { upstream } = await startBench(t, { fake: { redirectManifests: true } });
  await assert.rejects(upstream.getManifest(app, latest, patient()), failsAs("not-found", 404));
});

test("registry.k8s.io: no digest header from S3", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { redirectManifests: true, digestHeader: false } });
  fake.addImage(app, "latest");
  assert.equal((await upstream.getManifest(app, latest, patient())).digest, undefined);
});

test("registry.k8s.io: a ping's token plays no part, for there is no ping", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { redirectManifests: true } });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  assert.deepEqual(sent(fake), [
    "registry HEAD manifests/latest anonymous 307",
    "cdn HEAD manifests/latest anonymous 200",
  ]);
});

const gitlab = {
  hosts: { registry: "registry.gitlab.test", token: "gitlab.test" },
  auth: "bearer",
  token: { path: "/jwt/auth", service: "container_registry" },
  users: { alice: "another" },
  referrers: 404,
} as const;

test("registry.gitlab.com: the realm is on gitlab.com, which is on its list", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: gitlab, registry: { realms: ["gitlab.test"] } });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  assert.equal(sent(fake, { role: "token" })[0], "token GET /jwt/auth anonymous 200");
});

test("registry.gitlab.com: wrong credentials are a hard 401 even for what is public, and are sent once", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: gitlab,
    registry: { realms: ["gitlab.test"], credentials: alice },
  });
  fake.addImage(app, "latest");
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("unauthorized", 401));
  assert.equal(fake.count({ role: "token" }), 1);
});

test("registry.gitlab.com: referrers 404 means no referrers API", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: gitlab, registry: { realms: ["gitlab.test"] } });
  const image = fake.addImage(app, "latest");
  assert.equal(await upstream.getReferrers(app, image.digest, patient()), undefined);
});

const ecr = {
  hosts: { registry: "public.ecr.test" },
  auth: {
    challenge: ({ realm }: { realm: string }) => [`Bearer realm="${realm}",service="public.ecr.aws",scope="aws"`],
  },
  token: { host: "registry", path: "/token/", service: "public.ecr.aws" },
  bearerTokens: ["aws-token"],
  redirectBlobs: 307,
  blobHead: 401,
  staleToken: 403,
} as const;

test("public.ecr.aws: the scope is aws, one token serves all repositories", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { ...ecr, token: { ...ecr.token, expiresInS: 43_200 } } });
  for (const one of ["a/a", "b/b"]) {
    fake.addImage(one, "latest");
    await upstream.headManifest(name(one), latest, patient());
  }
  assert.deepEqual(
    tokenQueries(fake).map((query) => query.get("scope")),
    ["aws"],
  );
});

test("public.ecr.aws: blob HEAD is always 401, GET works", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: ecr });
  const digest = fake.addBlob(app, seededBytes(700));
  assert.deepEqual(await upstream.probeBlob(app, digest, patient()), { size: 700 });
});

test("public.ecr.aws: a ready token goes as Bearer at once, to nobody else", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: ecr,
    registry: { credentials: { kind: "bearer", token: "aws-token" } },
  });
  const digest = fake.addBlob(app, seededBytes(700));
  const { body } = await upstream.openBlob(app, digest, undefined, patient());
  assert.equal((await buffer(body)).length, 700);
  assert.deepEqual(sent(fake), ["registry GET blobs/<digest> token 307", "cdn GET /data/<digest> anonymous 200"]);
});

test("public.ecr.aws: a ready token that ran out is 403; the message says so, and nothing goes on anonymously", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: ecr,
    registry: { credentials: { kind: "bearer", token: "old" } },
  });
  fake.addImage(app, "latest");
  await assert.rejects(upstream.getManifest(app, latest, patient()), (error) => {
    assert.ok(failsAs("unauthorized", 403)(error));
    return /configured token was refused/.test((error as Error).message);
  });
  assert.deepEqual(sent(fake), ["registry GET manifests/latest token 403"]);
});

test("lscr.io: it is ghcr.io under another name, with the same tokens, limits and breaker", async (t) => {
  const { fake } = await startBench(t, { fake: ghcr });
  const image = fake.addImage(app, "latest");
  const ghcrConfig = registryConfig({ id: "ghcr", serves: "ghcr.io", upstream: fake.url });
  const lscrConfig = registryConfig({ id: "lscr", serves: "lscr.io", upstream: fake.url, realms: ["ghcr.test"] });
  const options = { version: "test", environment: {}, lookup: lookupTest };
  const upstreams = createUpstreams([ghcrConfig, lscrConfig], options);
  t.after(() => Promise.all([...upstreams.values()].map((upstream) => upstream.close())));
  const [first, second] = [upstreams.get("ghcr"), upstreams.get("lscr")];
  assert.ok(first !== undefined && first === second);
  await first.headManifest(app, latest, patient());
  assert.equal((await second.headManifest(app, latest, patient())).digest, image.digest);
  assert.equal(fake.count({ role: "token" }), 1);
});

test("lscr.io: with credentials of its own it shares nothing", (t) => {
  const upstream = "https://ghcr.test";
  const own = registryConfig({ id: "lscr", upstream, credentials: alice });
  const upstreams = createUpstreams([registryConfig({ id: "ghcr", upstream }), own], {
    version: "test",
    environment: {},
  });
  t.after(() => Promise.all([...upstreams.values()].map((one) => one.close())));
  assert.notEqual(upstreams.get("ghcr"), upstreams.get("lscr"));
});

test("lscr.io: its gateway's redirect is followed, and referrers are 404", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { redirectManifests: true, referrers: 404 } });
  const image = fake.addImage(app, "latest");
  assert.equal((await upstream.headManifest(app, latest, patient())).digest, image.digest);
  assert.equal(await upstream.getReferrers(app, image.digest, patient()), undefined);
});

const codeberg = {
  hosts: { registry: "codeberg.test" },
  auth: {
    challenge: ({ realm }: { realm: string }) => [
      'Basic realm="Gitea Container Registry"',
      `Bearer realm="${realm}",service="container_registry",scope="*"`,
    ],
  },
  users: { alice: "secret" },
  token: { host: "registry", path: "/v2/token" },
} as const;

for (const [who, credentials, scheme] of [
  ["anonymous", undefined, "anonymous"],
  ["a user", alice, "basic"],
] as const) {
  test(`codeberg.org: of its two challenges ${who} meets the Bearer one`, async (t) => {
    const { fake, upstream } = await startBench(t, { fake: codeberg, registry: { credentials } });
    fake.addImage(app, "latest");
    await upstream.headManifest(app, latest, patient());
    assert.deepEqual(sent(fake), [
      "registry HEAD manifests/latest anonymous 401",
      `token GET /v2/token ${scheme} 200`,
      "registry HEAD manifests/latest token 200",
    ]);
    assert.equal(tokenQueries(fake)[0]?.get("scope"), "*");
  });
}

test("codeberg.org: a blob that comes whole although a part was asked for begins at 0", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: codeberg });
  const bytes = seededBytes(1000);
  const digest = fake.addBlob(app, bytes);
  fake.script({}, { kind: "noRange" });
  const { start, size, body } = await upstream.openBlob(app, digest, { start: 600 }, patient());
  assert.deepEqual({ start, size }, { start: 0, size: 1000 });
  assert.deepEqual(await buffer(body), bytes);
});

test("codeberg.org: the absence of a blob is a 404", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: codeberg });
  fake.addImage(app, "latest");
  await assert.rejects(upstream.probeBlob(app, absent, patient()), failsAs("not-found", 404));
});
