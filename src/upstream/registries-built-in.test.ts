/** Quirks of the built-in registries beside the largest three; `gcr.test` stands for gcr.io and so on. */
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

test("registry.k8s.io: where it leads to, the repository has another name, for which the token is", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: { auth: { challenge: ({ realm }) => [`Bearer realm="${realm}"`] }, cdnAuth: "bearer" },
  });
  const image = fake.addImage("k8s-artifacts/images/app", "latest");
  const location = `${fake.cdnUrl}/v2/k8s-artifacts/images/app/manifests/latest`;
  fake.script({ role: "registry" }, { kind: "redirect", status: 307, location });
  assert.equal((await upstream.headManifest(app, latest, patient())).digest, image.digest);
  assert.equal(tokenQueries(fake)[0]?.get("scope"), "repository:k8s-artifacts/images/app:pull");
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

const ghcr = {
  hosts: { registry: "ghcr.test", cdn: "pkg-containers.githubusercontent.test" },
  auth: "bearer",
  token: { host: "registry", service: "ghcr.io" },
} as const;

test("lscr.io: it is ghcr.io under another name, with the same tokens, limits and breaker", async (t) => {
  const { fake } = await startBench(t, { fake: ghcr });
  const image = fake.addImage(app, "latest");
  const ghcrConfig = registryConfig({ id: "ghcr", serves: "ghcr.io", upstream: fake.url });
  const lscrConfig = registryConfig({ id: "lscr", serves: "lscr.io", upstream: fake.url, realms: ["ghcr.test"] });
  const options = { version: "test", lookup: lookupTest };
  const upstreams = createUpstreams([ghcrConfig, lscrConfig], options);
  t.after(() => Promise.all([...upstreams.values()].map((upstream) => upstream.close())));
  const [first, second] = [upstreams.get("ghcr"), upstreams.get("lscr")];
  assert.ok(first !== undefined && second !== undefined && first.place === second.place);
  await first.headManifest(app, latest, patient());
  assert.equal((await second.headManifest(app, latest, patient())).digest, image.digest);
  assert.equal(fake.count({ role: "token" }), 1);
});

test("lscr.io: of limits that differ from ghcr.io's the strictest counts for both, and the realms of both", async (t) => {
  const { fake } = await startBench(t, { fake: { auth: "bearer", token: { expiresInS: 300 } } });
  fake.addImage(app, "latest");
  const config = registryConfig({ upstream: fake.url });
  const upstreams = createUpstreams(
    [
      { ...config, id: "ghcr", questionsMax: 9 },
      { ...config, id: "lscr", questionsMax: 1, realms: ["auth.test"] },
    ],
    { version: "test", lookup: lookupTest },
  );
  t.after(() => Promise.all([...upstreams.values()].map((upstream) => upstream.close())));
  const ask = async (id: string) => await upstreams.get(id)?.headManifest(app, latest, patient());
  await ask("ghcr");
  fake.requests.length = 0;
  let goOn = () => {};
  const until = new Promise<void>((resolve) => (goOn = resolve));
  fake.script({}, { kind: "answer", handler: async (_req, res) => until.then(() => void res.end()) });
  const asked = ["ghcr", "lscr", "ghcr"].map(ask);
  await assert.rejects(fake.until(() => fake.requests.length > 1, 200));
  goOn();
  await Promise.all(asked);
  assert.equal(fake.requests.length, 3);
});

test("lscr.io: with credentials of its own it shares nothing", (t) => {
  const upstream = "https://ghcr.test";
  const own = registryConfig({ id: "lscr", upstream, credentials: alice });
  const upstreams = createUpstreams([registryConfig({ id: "ghcr", upstream }), own], {
    version: "test",
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
