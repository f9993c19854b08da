import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { testRegistry } from "../support/cache.ts";
import { ask } from "../support/client.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { basic, startWhole } from "../support/whole.ts";

const HOST = "corp.cache.test";
const HIDDEN = "org/hidden";

/** A cache that everybody may read from, which holds an image of somebody's whose registry lets in nobody else. */
async function world(t: TestContext) {
  const upstream = await startFakeUpstream({
    auth: "bearer",
    users: { ann: "her password" },
    privateRepositories: [HIDDEN],
  });
  t.after(async () => await upstream.stop());
  upstream.addImage(HIDDEN, "1", { seed: 2 });
  const passing = testRegistry(upstream.url, {
    hostnames: [HOST],
    sharedRepositories: [],
    passThrough: true,
    libraryPrefix: false,
  });
  const { url } = await startWhole(t, [passing], { config: { maxAgeMs: 1 } });
  const pulled = await ask(`${url}/v2/${HIDDEN}/manifests/1`, {
    headers: { Host: HOST, Authorization: basic("ann", "her password") },
  });
  assert.equal(pulled.status, 200);
  return url;
}

test("whoever may read alone is not told of private images: no event, no plan", async (t) => {
  const url = await world(t);
  const plan = await ask(`${url}/api/v1/prune`);
  assert.equal(plan.status, 403);
  assert.ok(!plan.body.toString().includes(HIDDEN));

  const leaving = new AbortController();
  const headers = { "Last-Event-ID": "another-1" };
  const events = await fetch(`${url}/api/v1/events?types=digest.new,status`, { headers, signal: leaving.signal });
  let told = "";
  // What was missed comes before how things are.
  for await (const piece of events.body ?? []) {
    told += Buffer.from(piece).toString();
    if (told.includes("event: status")) break;
  }
  leaving.abort();
  assert.match(told, /event: gap/);
  assert.ok(!told.includes(HIDDEN), told);
});
