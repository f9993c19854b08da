import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { buildahFrom, byReference, podmanPull, skopeoCopy } from "./support/clients/containers.ts";
import { assertSentOnce, type Client, type Version } from "./support/contract.ts";
import { skipReason } from "./support/tools.ts";
import { createWorld, type World } from "./support/world.ts";

/** Each comes by another name for the same bytes, at the same time. */
async function crowd(world: World): Promise<readonly Client[]> {
  const { host } = world.cache;
  return await Promise.all([
    podmanPull(() => byReference(host))(world),
    podmanPull(() => byReference(`${host}/docker.io`))(world),
    buildahFrom(() => byReference(world.cache.named("hub")))(world),
    skopeoCopy(() => byReference(`${host}/docker.io`))(world),
    skopeoCopy(() => byReference(host))(world),
  ]);
}

async function pullAll(world: World): Promise<void> {
  const { files, images } = world.published;
  const version: Version = { title: "by tag", suffix: `:${images.hub.tag}`, platform: "amd64" };
  const clients = await crowd(world);
  const trees = await Promise.all(clients.map((client) => client.pull(version, images.hub)));
  for (const tree of trees) assert.deepEqual(tree, files.amd64);
}

describe("a crowd of clients", { skip: skipReason(["podman", "buildah", "skopeo"]) }, () => {
  let world: World;
  before(async () => {
    world = await createWorld();
  });
  after(() => world?.end());

  test("that comes at once for what is not held is served by one transfer of each blob", async () => {
    await pullAll(world);
    await assertSentOnce(world);
  });

  test("is served again after a crash of the cache, with the upstream gone", async () => {
    await world.cache.killAndRestart();
    await world.origin.stop();
    await pullAll(world);
  });
});
