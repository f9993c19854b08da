import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { startBench } from "../../test/support/upstreams.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { UpstreamError } from "./upstream.ts";

const HIDDEN = "org/hidden" as RepositoryName;
const ANN = { user: "ann", password: "secret" };
const MINUTE_MS = 60_000;

async function setUp(t: TestContext) {
  const users: Record<string, string> = { ann: "secret", bob: "other" };
  const clock = { ms: 1_000_000 };
  const { fake, upstream } = await startBench(t, {
    fake: { auth: "bearer", users, privateRepositories: [HIDDEN, "org/other"] },
    registry: { passThrough: true },
    upstreams: { nowMs: () => clock.ms },
  });
  for (const name of [HIDDEN, "org/other"]) fake.addImage(name, "1");
  const { signal } = new AbortController();
  let asked = 0;
  const admit = async (offered: typeof ANN | undefined, name = HIDDEN) =>
    await upstream.admit(name, offered, signal, () => void (asked += 1));
  return { fake, upstream, users, clock, signal, admit, askedTimes: () => asked };
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
  assert.equal(await admit(ANN, "org/other" as RepositoryName), "refused");
  clock.ms += 0.2 * MINUTE_MS;
  assert.equal(await admit(ANN), "refused");
});

test("what is fetched is fetched with credentials that were found good, and with nothing once those are too old", async (t) => {
  const { fake, upstream, clock, signal, admit } = await setUp(t);
  const get = async () => await upstream.getManifest(HIDDEN, { kind: "tag", tag: "1" as never }, signal);
  const isRefused = (error: unknown) => error instanceof UpstreamError && error.kind === "unauthorized";
  await assert.rejects(get(), isRefused);
  assert.equal(await admit({ user: "bob", password: "wrong" }), "refused");
  await assert.rejects(get(), isRefused);
  assert.equal(await admit(ANN), "in");
  assert.ok((await get()).bytes.length > 0);
  clock.ms += 5.1 * MINUTE_MS;
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
