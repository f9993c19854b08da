import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { type FakeUpstreamOptions, startFakeUpstream } from "../../test/support/fake-upstream.ts";
import { HOSTS, lookupTest, registryConfig, sent, tokenQueries } from "../../test/support/upstreams.ts";
import type { Credentials, RegistryConfig } from "../config/config.ts";
import { quotaText } from "./quota.ts";
import { tryRegistry } from "./trial.ts";

const RIGHT: Credentials = { kind: "basic", username: "me", password: "correct horse" };
const WRONG: Credentials = { kind: "basic", username: "me", password: "battery staple" };

async function startTrial(t: TestContext, fakeOptions: FakeUpstreamOptions) {
  const fake = await startFakeUpstream({ hosts: HOSTS, ...fakeOptions });
  t.after(() => fake.stop());
  const registry = registryConfig({ upstream: fake.url, realms: [HOSTS.token] });
  const ask = async (changes: Partial<RegistryConfig> = {}) =>
    await tryRegistry({ ...registry, ...changes }, { version: "test", lookup: lookupTest });
  return { fake, ask };
}

const USERS = { me: "correct horse" };

test("credentials are tried as a login does: a token for no repository, and nothing is pulled", async (t) => {
  const { fake, ask } = await startTrial(t, { auth: "bearer", users: USERS });
  const { verdict, message, quota } = await ask({ credentials: RIGHT });
  assert.deepEqual([verdict, message, quota], ["taken", "registry.test takes user and password", undefined]);
  assert.deepEqual(sent(fake), [
    "registry GET /v2/ anonymous 401",
    "token GET /token basic 200",
    "registry GET /v2/ token 200",
  ]);
  assert.equal(tokenQueries(fake)[0]?.has("scope"), false);
});

for (const [title, options] of [
  ["a token service", { auth: "bearer", users: USERS }],
  ["Basic", { auth: "basic", users: USERS }],
] as const) {
  test(`a wrong password is refused by ${title}, and a right one taken`, async (t) => {
    const { ask } = await startTrial(t, options);
    const refused = await ask({ credentials: WRONG });
    assert.deepEqual([refused.verdict, refused.message], ["refused", "registry.test refuses user or password"]);
    assert.equal((await ask({ credentials: RIGHT })).verdict, "taken");
  });
}

test("a token service that says 403 of a wrong password, as ghcr.io does, refuses it", async (t) => {
  const { fake, ask } = await startTrial(t, { auth: "bearer", users: USERS });
  fake.script({ role: "token" }, { kind: "status", status: 403 });
  assert.equal((await ask({ credentials: WRONG })).verdict, "refused");
});

test("a ready token is taken or refused", async (t) => {
  const { ask } = await startTrial(t, { auth: "bearer", bearerTokens: ["good"], staleToken: 403 });
  assert.equal((await ask({ credentials: { kind: "bearer", token: "good" } })).verdict, "taken");
  assert.equal((await ask({ credentials: { kind: "bearer", token: "stale" } })).verdict, "refused");
});

test("a registry that asks nobody says nothing about credentials, and none are shown to it", async (t) => {
  const { fake, ask } = await startTrial(t, { auth: "none" });
  assert.equal((await ask({ credentials: RIGHT })).verdict, "unasked");
  assert.equal((await ask()).verdict, "reached");
  assert.deepEqual(new Set(sent(fake)), new Set(["registry GET /v2/ anonymous 200"]));
});

test("Docker Hub tells what is left, which is asked for by HEAD alone and with the credentials", async (t) => {
  const { fake, ask } = await startTrial(t, { auth: "bearer", users: USERS });
  fake.addImage("ratelimitpreview/test", "latest");
  const headers = { "ratelimit-limit": "200;w=21600", "ratelimit-remaining": "184;w=21600" };
  fake.script({ path: "ratelimitpreview" }, { kind: "headers", set: headers, times: Infinity });
  const { quota } = await ask({ credentials: RIGHT, serves: "docker.io" });
  assert.deepEqual(quota, { limit: 200, remaining: 184, windowS: 21_600 });
  assert.equal(quotaText(quota), "184 of 200 pulls in 6 h are left");
  assert.equal(fake.count({ method: "GET", path: "manifests" }), 0);
  assert.deepEqual((await ask({ credentials: WRONG, serves: "docker.io" })).quota, undefined);
  assert.deepEqual((await ask({ serves: "docker.io" })).quota, quota);
});

for (const [limit, remaining] of [
  ["200", "184"],
  ["200;w=21600", undefined],
  ["many;w=21600", "184;w=21600"],
  ["-1;w=21600", "184;w=21600"],
  [undefined, undefined],
] as const) {
  test(`a quota of ${limit ?? "nothing"} and ${remaining ?? "nothing"} is none`, async (t) => {
    const { fake, ask } = await startTrial(t, { auth: "bearer", users: USERS });
    fake.addImage("ratelimitpreview/test", "latest");
    const set = {
      ...(limit === undefined ? {} : { "ratelimit-limit": limit }),
      ...(remaining === undefined ? {} : { "ratelimit-remaining": remaining }),
    };
    fake.script({ path: "ratelimitpreview" }, { kind: "headers", set, times: Infinity });
    const { verdict, quota } = await ask({ credentials: RIGHT, serves: "docker.io" });
    assert.deepEqual([verdict, quota], ["taken", undefined]);
  });
}

test("a registry that is not there, that has no such name, or that does not answer is unreachable", async (t) => {
  const { fake, ask } = await startTrial(t, { auth: "bearer", users: USERS });
  const unknown = await ask({ credentials: RIGHT, upstream: "http://nowhere.example" });
  assert.deepEqual([unknown.verdict, unknown.message], ["unreachable", "registry.test cannot be reached (ENOTFOUND)"]);
  const { timeouts } = registryConfig({ upstream: fake.url });
  fake.script({ role: "registry" }, { kind: "hang" });
  const late = await ask({ credentials: RIGHT, timeouts: { ...timeouts, headersMs: 50 } });
  assert.deepEqual([late.verdict, late.message], ["unreachable", "registry.test does not answer in time"]);
  await fake.stop();
  const gone = await ask({ credentials: RIGHT });
  assert.deepEqual([gone.verdict, gone.message], ["unreachable", "registry.test cannot be reached (ECONNREFUSED)"]);
});

test("who gives up waits no longer", async (t) => {
  const fake = await startFakeUpstream();
  t.after(() => fake.stop());
  fake.script({ role: "registry" }, { kind: "hang" });
  const asker = new AbortController();
  const trial = tryRegistry(registryConfig({ upstream: fake.url }), { version: "test" }, asker.signal);
  await fake.until(() => fake.requests.length === 1);
  asker.abort();
  assert.equal((await trial).verdict, "failed");
});

test("a certificate that nobody trusts is told from a registry that is away, and `ca` mends it", async (t) => {
  const tls = selfSignedCertificate(["registry.test", "auth.test"]);
  const { fake, ask } = await startTrial(t, { auth: "bearer", users: USERS, tls });
  const { verdict, message } = await ask({ credentials: RIGHT });
  assert.equal(verdict, "distrusted");
  assert.match(message, /^the TLS certificate of registry\.test is not trusted \([A-Z_]+\); `ca:` names a file/);
  assert.deepEqual(fake.requests, []);
  assert.equal((await ask({ credentials: RIGHT, ca: tls.cert })).verdict, "taken");
});

for (const [title, status] of [
  ["a fault of its own", 503],
  ["a pause", 429],
] as const) {
  test(`${title} says nothing about the credentials`, async (t) => {
    const { fake, ask } = await startTrial(t, { auth: "bearer", users: USERS });
    fake.script({ role: "registry" }, { kind: "status", status });
    const { verdict, message } = await ask({ credentials: RIGHT });
    assert.deepEqual([verdict, message], ["failed", `registry.test could not be asked: it answers with ${status}`]);
  });
}

test("credentials go to no token service that is not the registry's", async (t) => {
  const { fake, ask } = await startTrial(t, { auth: "bearer", users: USERS });
  const { verdict } = await ask({ credentials: RIGHT, realms: [] });
  assert.equal(verdict, "failed");
  assert.equal(fake.count({ role: "token" }), 0);
});
