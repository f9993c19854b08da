import assert from "node:assert/strict";
import { test } from "node:test";
import { name, patient, startBench, tag } from "../../test/support/upstreams.ts";
import type { Credentials } from "../config/config.ts";

const app = name("team/app");
const MINUTE_MS = 60_000;
const WRONG: readonly Credentials[] = [
  { kind: "basic", username: "me", password: "old" },
  { kind: "bearer", token: "old" },
];

for (const [auth, credentials] of [
  ["bearer", WRONG[0]],
  ["basic", WRONG[0]],
  ["bearer", WRONG[1]],
] as const) {
  test(`refused credentials (${credentials?.kind} where ${auth} is asked for) are told of once in a while`, async (t) => {
    const told: string[] = [];
    let atMs = 0;
    const { upstream, fake } = await startBench(t, {
      fake: { auth, users: { me: "pw" } },
      registry: { credentials },
      upstreams: { nowMs: () => atMs, onRefused: (id, reason) => void told.push(`${id}: ${reason}`) },
    });
    fake.addImage(app, "latest");
    const pull = async () => await assert.rejects(upstream.headManifest(app, tag("latest"), patient()));
    await pull();
    await pull();
    assert.match(told.join("\n"), /^test: (?:GET|HEAD) .*: the configured (credentials were|token was) refused[^\n]*$/);
    assert.equal(told.length, 1);
    atMs = 11 * MINUTE_MS;
    await pull();
    assert.equal(told.length, 2);
  });
}

test("right credentials that do not open a repository are not told of", async (t) => {
  const told: string[] = [];
  const { upstream, fake } = await startBench(t, {
    fake: { auth: "bearer", users: { me: "pw" } },
    registry: { credentials: { kind: "basic", username: "me", password: "pw" } },
    upstreams: { onRefused: (id) => void told.push(id) },
  });
  fake.addImage(app, "latest");
  await assert.rejects(upstream.headManifest(app, tag("none"), patient()));
  fake.script({ role: "registry", authorized: true }, { kind: "status", status: 403, times: 5 });
  await assert.rejects(upstream.headManifest(app, tag("latest"), patient()));
  assert.deepEqual(told, []);
});
