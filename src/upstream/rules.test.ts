import assert from "node:assert/strict";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { seededBytes } from "../../test/support/bytes.ts";
import type { Fault } from "../../test/support/fake-upstream.ts";
import {
  failsAs,
  name,
  patient,
  registryConfig,
  sent,
  startBench,
  tag,
  tokenQueries,
} from "../../test/support/upstreams.ts";
import { MANIFEST_ACCEPT } from "../oci/media-types.ts";
import { createUpstreams } from "./create.ts";
import { TOKEN_LIFETIME_DEFAULT_S, TOKEN_MARGIN_S } from "./tokens.ts";

const app = name("team/app");
const latest = tag("latest");
const alice = { kind: "basic", username: "alice", password: "secret" } as const;

test("rule 1: the challenge is the resource's own, the ping is never asked", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: {
      auth: {
        challenge: ({ repository, realm }) => [
          `Bearer realm="${realm}",service="s",scope="repository:${repository ?? "user/image"}:pull"`,
        ],
      },
      token: { service: "s" },
    },
  });
  const image = fake.addImage(app, "latest");
  assert.equal((await upstream.headManifest(app, latest, patient())).digest, image.digest);
  assert.deepEqual(sent(fake), [
    "registry HEAD manifests/latest anonymous 401",
    "token GET /token anonymous 200",
    "registry HEAD manifests/latest token 200",
  ]);
  assert.equal(tokenQueries(fake)[0]?.get("scope"), "repository:team/app:pull");
  assert.equal(fake.count({ path: /^\/v2\/$/ }), 0);
});

test("rule 1: what a repository demands is remembered, so the next question needs no 401", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { auth: "bearer", token: { expiresInS: 300 } } });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  await upstream.getManifest(app, latest, patient());
  assert.deepEqual(sent(fake).slice(3), ["registry GET manifests/latest token 200"]);
});

test("rule 2: only pull is asked for, whatever the challenge offers", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: {
      auth: {
        challenge: ({ repository, realm }) => [`Bearer realm="${realm}",scope="repository:${repository}:pull,push"`],
      },
    },
  });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  assert.equal(tokenQueries(fake)[0]?.get("scope"), "repository:team/app:pull");
});

for (const field of ["token", "access_token"] as const) {
  test(`rule 3: a token comes as ${field}`, async (t) => {
    const { fake, upstream } = await startBench(t, { fake: { auth: "bearer", token: { field } } });
    fake.addImage(app, "latest");
    await upstream.headManifest(app, latest, patient());
    assert.equal(fake.count({ role: "token" }), 1);
  });
}

for (const [what, expiresInS, lifetimeS] of [
  ["without expires_in lasts 60 s", undefined, TOKEN_LIFETIME_DEFAULT_S],
  ["with expires_in lasts as long as it says", 300, 300],
] as const) {
  test(`rule 3: a token ${what}, and is renewed 10 s before its end`, async (t) => {
    let nowMs = 0;
    const { fake, upstream } = await startBench(t, {
      fake: { auth: "bearer", token: { expiresInS } },
      upstreams: { nowMs: () => nowMs },
    });
    fake.addImage(app, "latest");
    await upstream.headManifest(app, latest, patient());
    nowMs = (lifetimeS - TOKEN_MARGIN_S) * 1000 - 1;
    await upstream.headManifest(app, latest, patient());
    assert.equal(fake.count({ role: "token" }), 1);
    nowMs += 1;
    await upstream.headManifest(app, latest, patient());
    assert.equal(fake.count({ role: "token" }), 2);
    assert.deepEqual(
      sent(fake, { role: "registry" }).slice(1),
      Array(3).fill("registry HEAD manifests/latest token 200"),
    );
  });
}

test("rule 4: of several challenges the Bearer one is met, with unquoted values and no service", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: { auth: { challenge: ({ realm }) => ['Basic realm="x", Digest qop=auth', `Bearer realm=${realm},scope=*`] } },
  });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  assert.deepEqual([...(tokenQueries(fake)[0] ?? [])], [["scope", "*"]]);
});

for (const staleToken of ["challenge", 401, 403] as const) {
  test(`rule 4: a stale token refused by ${staleToken} is replaced, and the question asked once more`, async (t) => {
    const { fake, upstream } = await startBench(t, {
      fake: { auth: "bearer", staleToken, token: { expiresInS: 300 } },
    });
    const image = fake.addImage(app, "latest");
    await upstream.headManifest(app, latest, patient());
    fake.expireTokens();
    fake.requests.length = 0;
    assert.equal((await upstream.getManifest(app, latest, patient())).digest, image.digest);
    assert.deepEqual(sent(fake), [
      `registry GET manifests/latest token ${staleToken === "challenge" ? 401 : staleToken}`,
      "token GET /token anonymous 200",
      "registry GET manifests/latest token 200",
    ]);
  });

  test(`rule 4: a registry that refuses by ${staleToken} even then is asked exactly once more`, async (t) => {
    const { fake, upstream } = await startBench(t, {
      fake: { auth: "bearer", staleToken, token: { expiresInS: 300 } },
    });
    fake.addImage(app, "latest");
    await upstream.headManifest(app, latest, patient());
    const status = staleToken === "challenge" ? 401 : staleToken;
    const headers = { "www-authenticate": `Bearer realm="${fake.tokenUrl}",service="fake-registry"` };
    const fault: Fault = {
      kind: "status",
      status,
      times: Infinity,
      ...(staleToken === "challenge" ? { headers } : {}),
    };
    fake.script({ role: "registry" }, fault);
    fake.requests.length = 0;
    const kind = status === 401 ? "unauthorized" : "forbidden";
    await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs(kind, status));
    assert.equal(fake.count({ role: "registry" }), 2);
    assert.equal(fake.count({ role: "token" }), 1);
  });
}

test("rule 4: where a stale token is refused with another service or scope of the same realm, those count", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: {
      auth: { challenge: ({ realm, stale }) => [`Bearer realm="${realm}",service="${stale ? "new" : "old"}"`] },
      token: { expiresInS: 300 },
    },
  });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  fake.expireTokens();
  await upstream.headManifest(app, latest, patient());
  assert.deepEqual(
    tokenQueries(fake).map((query) => query.get("service")),
    ["old", "new"],
  );
});

test("rule 5: a realm that is not on the list gets neither credentials nor a question", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: { auth: "bearer", users: { alice: "secret" } },
    registry: { realms: ["other.test", "*.auth.test"], credentials: alice },
  });
  fake.addImage(app, "latest");
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("untrusted"));
  assert.deepEqual(sent(fake), ["registry HEAD manifests/latest anonymous 401"]);
});

test("rule 5: a listed realm on another host gets the credentials, the registry itself only the token", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: { auth: "bearer", users: { alice: "secret" }, anonymous: false },
    registry: { credentials: alice },
  });
  fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  assert.deepEqual(sent(fake), [
    "registry HEAD manifests/latest anonymous 401",
    "token GET /token basic 200",
    "registry HEAD manifests/latest token 200",
  ]);
});

test("rule 5: a trusted realm cannot pass the credentials on to another host", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: { auth: "bearer", users: { alice: "secret" } },
    registry: { credentials: alice },
  });
  fake.addImage(app, "latest");
  fake.script({ role: "token" }, { kind: "redirect", location: `${fake.cdnUrl}/token` });
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("untrusted"));
  assert.equal(fake.count({ role: "cdn" }), 0);
});

test("rule 5: between trusted hosts a token service may move, but the credentials do not move with it", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: { auth: "bearer", users: { alice: "secret" } },
    registry: { credentials: alice, realms: ["auth.test", "cdn.test"] },
  });
  fake.addImage(app, "latest");
  fake.script({ role: "token" }, { kind: "redirect", location: `${fake.cdnUrl}/moved` });
  fake.script({ role: "cdn" }, { kind: "status", status: 401 });
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("unauthorized", 401));
  assert.deepEqual(sent(fake).slice(1), ["token GET /token basic 307", "cdn GET /moved anonymous 401"]);
});

for (const status of [301, 302, 303, 307, 308]) {
  test(`rule 6: ${status} to another host is followed for GET and HEAD, without Authorization`, async (t) => {
    const { fake, upstream } = await startBench(t, { fake: { auth: "bearer", redirectBlobs: status } });
    const bytes = seededBytes(1000);
    const digest = fake.addBlob(app, bytes);
    assert.deepEqual(await upstream.probeBlob(app, digest, patient()), { size: 1000 });
    const { body } = await upstream.openBlob(app, digest, undefined, patient());
    assert.deepEqual(await buffer(body), bytes);
    assert.deepEqual(sent(fake, { role: "cdn" }), [
      "cdn HEAD /data/<digest> anonymous 200",
      "cdn GET /data/<digest> anonymous 200",
    ]);
  });
}

test("rule 6: a signed URL is never used twice", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { redirectBlobs: true, signedUrlUses: 1 } });
  const digest = fake.addBlob(app, seededBytes(1000));
  for (const start of [0, 500]) {
    const { body } = await upstream.openBlob(app, digest, { start }, patient());
    assert.equal((await buffer(body)).length, 1000 - start);
  }
  assert.equal(fake.count({ role: "registry", path: "/blobs/" }), 2);
});

test("rule 6: a redirect within the registry's own origin keeps Authorization", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { auth: "bearer" } });
  const image = fake.addImage(app, "latest");
  fake.script(
    { path: "manifests/latest", authorized: true },
    { kind: "redirect", location: `/v2/${app}/manifests/${image.digest}` },
  );
  assert.equal((await upstream.headManifest(app, latest, patient())).digest, image.digest);
  assert.equal(sent(fake).at(-1), "registry HEAD manifests/<digest> token 200");
});

for (const blobHead of [401, 403, 405] as const) {
  test(`rule 7: blob HEAD answered with ${blobHead} is made up for by one byte's GET`, async (t) => {
    const { fake, upstream } = await startBench(t, { fake: { blobHead } });
    const digest = fake.addBlob(app, seededBytes(1_000_000));
    assert.deepEqual(await upstream.probeBlob(app, digest, patient()), { size: 1_000_000 });
    assert.deepEqual(sent(fake), [
      `registry HEAD blobs/<digest> anonymous ${blobHead}`,
      "registry GET blobs/<digest> anonymous 206",
    ]);
    assert.equal(fake.requests[1]?.bytesSent, 1);
  });
}

test("rule 7: an upstream whose blob HEAD is useless is not asked by HEAD again", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { blobHead: 405 } });
  const digests = [1, 2].map((seed) => fake.addBlob(app, seededBytes(100, seed)));
  for (const digest of digests) await upstream.probeBlob(app, digest, patient());
  assert.equal(fake.count({ method: "HEAD" }), 1);
});

test("rule 8: a missing digest header is said to be missing, not made up", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { digestHeader: false } });
  const image = fake.addImage(app, "latest");
  assert.equal((await upstream.headManifest(app, latest, patient())).digest, undefined);
  const { digest, bytes } = await upstream.getManifest(app, latest, patient());
  assert.equal(digest, undefined);
  assert.deepEqual(Buffer.from(bytes), Buffer.from(image.bytes));
});

test("rule 8: a digest header that is none counts as missing", async (t) => {
  const { fake, upstream } = await startBench(t);
  fake.addImage(app, "latest");
  fake.script({}, { kind: "headers", set: { "docker-content-digest": "sha256:nonsense" } });
  assert.equal((await upstream.headManifest(app, latest, patient())).digest, undefined);
});

test("rule 9: manifests are asked for with every type and no encoding, blobs with no encoding", async (t) => {
  const { fake, upstream } = await startBench(t);
  const image = fake.addImage(app, "latest");
  await upstream.headManifest(app, latest, patient());
  await upstream.getManifest(app, latest, patient());
  const { body } = await upstream.openBlob(app, image.config.digest, undefined, patient());
  await buffer(body);
  assert.deepEqual(
    fake.requests.map(({ headers }) => headers.accept),
    [MANIFEST_ACCEPT, MANIFEST_ACCEPT, "*/*"],
  );
  for (const { headers } of fake.requests) {
    assert.equal(headers["accept-encoding"], "identity");
    assert.equal(headers["user-agent"], "registry-cache/test");
  }
});

test("rule 10: refused credentials are reported, and nothing is tried without them", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: { auth: "bearer", users: { alice: "another" } },
    registry: { credentials: alice },
  });
  fake.addImage(app, "latest");
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("unauthorized", 401));
  assert.deepEqual(sent(fake), ["registry HEAD manifests/latest anonymous 401", "token GET /token basic 401"]);
});

test("rule 10: a token service that says 403 to credentials means the credentials", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { auth: "bearer" }, registry: { credentials: alice } });
  fake.addImage(app, "latest");
  fake.script({ role: "token" }, { kind: "status", status: 403 });
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("unauthorized", 403));
  assert.equal(fake.count({ role: "token" }), 1);
});

test("rule 10: no message of ours holds a credential", async (t) => {
  const { fake, upstream } = await startBench(t, {
    fake: { auth: "bearer", users: { alice: "another" } },
    registry: { credentials: alice },
  });
  fake.addImage(app, "latest");
  await assert.rejects(upstream.headManifest(app, latest, patient()), (error: Error) => {
    assert.doesNotMatch(JSON.stringify([error.message, error]), /secret|alice|YWxpY2U/);
    assert.match(error.message, /credentials were refused/);
    return true;
  });
});

for (const absoluteLinks of [false, true]) {
  test(`rule 11: pages are followed by ${absoluteLinks ? "absolute" : "relative"} links, none is handed on`, async (t) => {
    const { fake, upstream } = await startBench(t, { fake: { tagsPageMax: 2, absoluteLinks } });
    for (const one of ["a", "b", "c", "d", "e"]) fake.addImage(app, one);
    assert.deepEqual(await upstream.listTags(app, patient()), ["a", "b", "c", "d", "e"]);
    assert.equal(fake.count({ path: "tags/list" }), 3);
  });
}

test("rule 12: refusals come as kinds, and with an id of the credentials to remember them by", async (t) => {
  const { fake, upstream } = await startBench(t, { registry: { credentials: alice } });
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("not-found", 404));
  fake.script({}, { kind: "status", status: 401 }, { kind: "status", status: 403 });
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("unauthorized", 401));
  await assert.rejects(upstream.headManifest(app, latest, patient()), failsAs("forbidden", 403));
  assert.match(upstream.credentialIdFor(app) ?? "", /^basic:[0-9a-f]{16}$/);
});

test("rule 12: the id tells users apart, survives a new password and is absent for anonymous", async (t) => {
  const base = registryConfig({ upstream: "https://registry.test" });
  const upstreams = createUpstreams(
    [
      { ...base, id: "anonymous" },
      { ...base, id: "alice", credentials: alice },
      { ...base, id: "later", credentials: { ...alice, password: "changed" } },
      { ...base, id: "bob", credentials: { ...alice, username: "bob" } },
      { ...base, id: "token", credentials: { kind: "bearer", token: "alice" } },
    ],
    { version: "test" },
  );
  t.after(() => Promise.all([...upstreams.values()].map((upstream) => upstream.close())));
  const id = (of: string) => upstreams.get(of)?.credentialIdFor(app);
  assert.equal(id("anonymous"), undefined);
  assert.equal(id("alice"), id("later"));
  assert.equal(new Set(["alice", "bob", "token"].map(id)).size, 3);
});

test("rule 13: each repository has its own token, which opens no other", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { auth: "bearer", token: { expiresInS: 300 } } });
  const names = ["team/a", "team/b"].map(name);
  for (const one of names) fake.addImage(one, "latest");
  for (const one of [...names, ...names]) await upstream.headManifest(one, latest, patient());
  assert.deepEqual(
    tokenQueries(fake).map((query) => query.get("scope")),
    ["repository:team/a:pull", "repository:team/b:pull"],
  );
});

test("rule 13: however many wait for a token, it is fetched once", async (t) => {
  const { fake, upstream } = await startBench(t, { fake: { auth: "bearer", token: { expiresInS: 300 } } });
  fake.addImage(app, "latest");
  await Promise.all(Array.from({ length: 10 }, () => upstream.headManifest(app, latest, patient())));
  assert.equal(fake.count({ role: "token" }), 1);
});
