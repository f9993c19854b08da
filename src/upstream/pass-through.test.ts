import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { startBench } from "../../test/support/upstreams.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { UpstreamError } from "./upstream.ts";

const HIDDEN = "org/hidden" as RepositoryName;
const ANN = { user: "ann", password: "secret" };
const BOB = { user: "bob", password: "other" };
const MINUTE_MS = 60_000;

async function setUp(t: TestContext) {
  const users: Record<string, string> = { ann: "secret", bob: "other" };
  const clock = { ms: 1_000_000 };
  const { fake, upstream } = await startBench(t, {
    fake: { auth: "bearer", users, privateRepositories: [HIDDEN, "org/other"] },
    registry: { passThrough: true },
    upstreams: { nowMs: () => clock.ms },
  });
  const image = fake.addImage(HIDDEN, "1");
  fake.addImage("org/other", "1");
  const { signal } = new AbortController();
  let asked = 0;
  const admit = async (offered: typeof ANN | undefined, name = HIDDEN) =>
    await upstream.admit(name, offered, signal, async (ask) => {
      asked += 1;
      return await ask();
    });
  return { fake, upstream, image, users, clock, signal, admit, askedTimes: () => asked };
}

test("a client's credentials are good for five minutes, and for that repository", async (t) => {
  const { fake, users, clock, admit, askedTimes } = await setUp(t);
  assert.equal(await admit(undefined), "nameless");
  assert.equal(await admit(ANN), "in");
  delete users["ann"];
  fake.expireTokens();
  clock.ms += 4.9 * MINUTE_MS;
  assert.equal(await admit(ANN), "in");
  assert.equal(askedTimes(), 1);
  assert.equal(await admit(ANN, "org/other" as RepositoryName), "wrong");
  clock.ms += 0.2 * MINUTE_MS;
  assert.equal(await admit(ANN), "wrong");
});

test("what is fetched is fetched with credentials that were found good, and with nothing once those are too old", async (t) => {
  const { fake, upstream, clock, signal, admit } = await setUp(t);
  const get = async () => await upstream.getManifest(HIDDEN, { kind: "tag", tag: "1" as never }, signal);
  const isRefused = (error: unknown) => error instanceof UpstreamError && error.kind === "unauthorized";
  await assert.rejects(get(), isRefused);
  assert.equal(await admit({ user: "bob", password: "wrong" }), "wrong");
  await assert.rejects(get(), isRefused);
  assert.equal(await admit(ANN), "in");
  assert.ok((await get()).bytes.length > 0);
  clock.ms += 5.6 * MINUTE_MS;
  const before = fake.count({ path: "/manifests/" });
  await assert.rejects(get(), isRefused);
  assert.equal(fake.count({ path: "/manifests/" }), before);
});

test("many at once are one question to the registry", async (t) => {
  const { fake, admit } = await setUp(t);
  const all = await Promise.all(Array.from({ length: 20 }, async () => await admit(ANN)));
  assert.deepEqual([...new Set(all)], ["in"]);
  assert.equal(fake.requests.filter(({ path, status }) => path.includes("/tags/list") && status === 200).length, 1);
});

test("good credentials that do not open something are not called wrong", async (t) => {
  const { admit } = await setUp(t);
  assert.equal(await admit(ANN, "org/nothing" as RepositoryName), "refused");
});

test("who was let in lately is so without a question, also while upstream is away", async (t) => {
  const { fake, clock, admit } = await setUp(t);
  assert.equal(await admit(ANN), "in");
  await fake.stop();
  clock.ms += 4 * MINUTE_MS;
  assert.equal(await admit(ANN), "in");
  await assert.rejects(admit(BOB), UpstreamError);
  await assert.rejects(admit(undefined), UpstreamError);
});

test("what one client's account is limited to limits no other", async (t) => {
  const { fake, upstream, signal, admit } = await setUp(t);
  const get = async () => await upstream.getManifest(HIDDEN, { kind: "tag", tag: "1" as never }, signal);
  assert.equal(await admit(BOB), "in");
  fake.script({ path: "/manifests/" }, { kind: "status", status: 429, headers: { "Retry-After": "900" } });
  await assert.rejects(get(), (error) => error instanceof UpstreamError && error.kind === "rate-limited");
  assert.equal(await admit(ANN), "in");
  assert.ok((await get()).bytes.length > 0);
  assert.ok(upstream.available);
});

test("credentials that are refused meanwhile are dropped, and those of somebody else are used", async (t) => {
  const { fake, upstream, users, signal, admit } = await setUp(t);
  const get = async () => await upstream.getManifest(HIDDEN, { kind: "tag", tag: "1" as never }, signal);
  assert.equal(await admit(ANN), "in");
  assert.equal(await admit(BOB), "in");
  delete users["bob"];
  fake.expireTokens();
  assert.ok((await get()).bytes.length > 0);
  assert.equal(await admit(BOB), "wrong");
  // Without anybody else's it is an answer that is remembered for nobody.
  delete users["ann"];
  fake.expireTokens();
  await assert.rejects(
    get(),
    (error) => error instanceof UpstreamError && error.kind === "unauthorized" && error.isPersonal,
  );
});

test("what good credentials do not open is refused, without trying other people's", async (t) => {
  const { fake, upstream, signal, admit } = await setUp(t);
  const get = async () => await upstream.getManifest(HIDDEN, { kind: "tag", tag: "1" as never }, signal);
  assert.equal(await admit(ANN), "in");
  assert.equal(await admit(BOB), "in");
  fake.script({ path: "/manifests/" }, { kind: "status", status: 403, times: Infinity });
  const before = fake.count({ path: "/manifests/" });
  await assert.rejects(
    get(),
    (error) => error instanceof UpstreamError && error.kind === "forbidden" && error.isPersonal,
  );
  // A token is renewed once before it is believed.
  assert.ok(fake.count({ path: "/manifests/" }) - before <= 2);
});

test("what credentials open is had while strangers may not even ask", async (t) => {
  const { fake, upstream, clock, signal, admit } = await setUp(t);
  assert.equal(await admit(ANN), "in");
  clock.ms += 2 * MINUTE_MS;
  fake.script(
    { path: "/tags/list" },
    { kind: "status", status: 429, headers: { "Retry-After": "600" }, times: Infinity },
  );
  assert.equal(await admit(ANN), "in");
  const { bytes } = await upstream.getManifest(HIDDEN, { kind: "tag", tag: "1" as never }, signal);
  assert.ok(bytes.length > 0);
});

test("a transfer goes on with the credentials that it was begun with", async (t) => {
  const { upstream, image, clock, signal, admit } = await setUp(t);
  const [layer] = image.layers;
  assert.ok(layer !== undefined);
  assert.equal(await admit(ANN), "in");
  const transfer = upstream.forTransfer(HIDDEN);
  clock.ms += 6 * MINUTE_MS;
  await assert.rejects(upstream.openBlob(HIDDEN, layer.digest, undefined, signal), UpstreamError);
  const { body } = await transfer.openBlob(HIDDEN, layer.digest, { start: 1 }, signal);
  assert.deepEqual(Buffer.concat((await body.toArray()) as Buffer[]), Buffer.from(layer.bytes.subarray(1)));
});
