import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { hashSync } from "bcryptjs";
import { askCache } from "../src/cli/control-client.ts";
import { OPEN_ACCESS, startCache, testRegistry } from "./support/cache.ts";
import { ask, open } from "./support/client.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import { tempDir } from "./support/temp.ts";
import { basic } from "./support/whole.ts";

const HOST = "corp.cache.test";
const [OPEN, HIDDEN] = ["library/open", "org/hidden"];

async function listener(t: TestContext, url: string, user: string, password: string) {
  const stream = await open(url, { headers: { Authorization: basic(user, password) } });
  t.after(() => stream.destroy());
  let text = "";
  stream.setEncoding("utf8").on("data", (piece: string) => (text += piece));
  await once(stream, "data");
  return { text: () => text };
}

test("what only clients' own credentials have opened is told to admins alone, and so is who has pulled what", async (t) => {
  const upstream = await startFakeUpstream({ auth: "bearer", users: { ann: "hers" }, privateRepositories: [HIDDEN] });
  t.after(async () => await upstream.stop());
  upstream.addImage(OPEN, "1", { seed: 1 });
  const hidden = upstream.addImage(HIDDEN, "1", { seed: 2 });
  const registry = testRegistry(upstream.url, {
    hostnames: [HOST],
    sharedRepositories: [],
    passThrough: true,
    libraryPrefix: false,
  });
  const htpasswd = join(await tempDir(t), "users");
  await writeFile(htpasswd, `ops:${hashSync("correct horse", 4)}\nme:${hashSync("battery staple", 4)}\n`);
  const api = { hostnames: [], read: "pullers", metrics: "pullers", admins: ["ops"] } as const;
  const { url, dataDir } = await startCache(t, [registry], { config: { access: { ...OPEN_ACCESS, htpasswd }, api } });
  const heard = await Promise.all([
    listener(t, `${url}/api/v1/events`, "ops", "correct horse"),
    listener(t, `${url}/api/v1/events`, "me", "battery staple"),
  ]);
  for (const name of [OPEN, HIDDEN]) {
    const headers = { Host: HOST, Authorization: basic("ann", "hers") };
    assert.equal((await ask(`${url}/v2/${name}/manifests/1`, { headers })).status, 200, name);
  }
  const bodies = async (headers: Record<string, string>) =>
    await Promise.all(
      [
        "images",
        "images?sort=size",
        "repositories",
        `images/${HIDDEN}:1`,
        `images/docker.io/${HIDDEN}@${hidden.digest}`,
        `history/${HIDDEN}:1`,
        "activity",
        "status",
        "registries",
        "statistics",
      ].map(async (path) => (await ask(`${url}/api/v1/${path}`, { headers })).body.toString()),
    );
  const isListed = async () => (await bodies({ Authorization: basic("ops", "correct horse") }))[0]?.includes(HIDDEN);
  for (const lastMs = Date.now() + 10_000; Date.now() < lastMs && !(await isListed());) await delay(10);
  for (const headers of [{}, { Authorization: basic("me", "battery staple") }]) {
    const all = await bodies(headers);
    for (const body of all) {
      // Where it was asked for by its name the refusal has that.
      assert.ok(!body.includes(HIDDEN) || /"status":404/.test(body), body);
      assert.ok(!body.includes(hidden.digest) || /"status":404/.test(body), body);
      assert.ok(!body.includes('"pullers"'), body);
    }
    assert.ok(all[0]?.includes(OPEN));
  }
  const [images = "", , repositories = "", byTag = "", byDigest = "", history = ""] = await bodies({
    Authorization: basic("ops", "correct horse"),
  });
  for (const body of [images, repositories, byTag, byDigest, history])
    assert.ok(body.includes(HIDDEN) && !body.includes("404"), body);
  assert.match(byTag, /"pullers":\[\{"name":"/);
  // Whoever may hear of it has heard of it; so the other one would have.
  for (const lastMs = Date.now() + 10_000; Date.now() < lastMs && !heard[0]?.text().includes(HIDDEN);) await delay(10);
  assert.ok(heard[0]?.text().includes(HIDDEN), heard[0]?.text());
  await delay(50);
  assert.ok(!heard[1]?.text().includes(HIDDEN), heard[1]?.text());
  const { signal } = new AbortController();
  const local = JSON.stringify(await askCache(dataDir, { method: "GET", path: "/api/v1/images", signal }));
  assert.ok(local.includes(HIDDEN));
});
