import assert from "node:assert/strict";
import { test } from "node:test";
import { Bypassing, COME_BACK_MS } from "./bypassing.ts";

test("who was challenged and did not come back within a minute is listed, with how often and since when", () => {
  const bypassing = new Bypassing();
  bypassing.challenged("192.0.2.1", "docker/28", 1_000);
  bypassing.challenged("192.0.2.1", "docker/28", 5_000);
  assert.deepEqual(bypassing.list(5_000), []);
  const bypass = { client: "192.0.2.1", userAgent: "docker/28", challenges: 2, firstAtMs: 1_000, lastAtMs: 5_000 };
  assert.deepEqual(bypassing.list(1_000 + COME_BACK_MS), [bypass]);
});

test("who comes back is no longer listed, and is told of anew when it stays away again", () => {
  const bypassing = new Bypassing();
  bypassing.challenged("192.0.2.1", "docker/28", 0);
  bypassing.challenged("192.0.2.2", "containerd/2", 0);
  assert.equal(bypassing.untold(COME_BACK_MS).length, 2);
  assert.equal(bypassing.untold(COME_BACK_MS).length, 0);
  bypassing.welcomed("192.0.2.1", 1);
  assert.deepEqual(
    bypassing.list(COME_BACK_MS).map(({ client }) => client),
    ["192.0.2.2"],
  );
  bypassing.challenged("192.0.2.1", "docker/28", COME_BACK_MS);
  assert.equal(bypassing.untold(2 * COME_BACK_MS).length, 1);
});

test("who has just said who it is is not suspected", () => {
  const bypassing = new Bypassing();
  bypassing.welcomed("192.0.2.1", 0);
  bypassing.challenged("192.0.2.1", "docker/28", 1_000);
  assert.deepEqual(bypassing.list(10 * COME_BACK_MS), []);
  bypassing.challenged("192.0.2.1", "docker/28", 3_000);
  assert.equal(bypassing.list(10 * COME_BACK_MS).length, 1);
});

test("a thousand clients are remembered, with a few names each", () => {
  const bypassing = new Bypassing();
  for (let client = 0; client < 1_500; client++) {
    for (let agent = 0; agent < 9; agent++)
      bypassing.challenged(`client ${client}`, `agent ${agent} ${"x".repeat(500)}`, 0);
  }
  const list = bypassing.list(COME_BACK_MS);
  assert.equal(list.length, 5_000);
  assert.ok(list.every(({ userAgent }) => userAgent.length <= 120));
});
