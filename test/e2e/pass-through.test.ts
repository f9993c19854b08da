import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { containerdPull, mirror } from "./support/clients/containerd.ts";
import { buildahFrom, byReference, podmanPull, skopeoCopy } from "./support/clients/containers.ts";
import { DockerEngine } from "./support/clients/docker.ts";
import type { Client, Version } from "./support/contract.ts";
import { encoded, logIn } from "./support/login.ts";
import { skipReason } from "./support/tools.ts";
import type { Tree } from "./support/tree.ts";
import { createWorld, type World } from "./support/world.ts";

const TOOLS = ["podman", "buildah", "skopeo", "dockerd", "docker", "containerd", "ctr", "runc", "tar"] as const;
const [USER, PASSWORD] = ["ann", "a password for the registry"];
const CONTAINERS_TOOLS = [
  ["Podman", podmanPull],
  ["Buildah", buildahFrom],
  ["Skopeo", skopeoCopy],
] as const;
const REFUSED = /unauthorized|authentication required|401|403|429|denied|DENIED|Forbidden|toomanyrequests/i;

async function pullWith(world: World, start: (world: World) => Promise<Client>): Promise<Tree> {
  const image = world.published.images.hub;
  const version: Version = { title: "by tag", suffix: `:${image.tag}`, platform: "amd64" };
  const client = await start(world);
  try {
    return await client.pull(version, image);
  } finally {
    await client.stop();
  }
}

describe("with clients' credentials for the registry", { skip: skipReason(TOOLS) }, () => {
  let world: World;
  before(async () => {
    world = await createWorld({ originUsers: { [USER]: PASSWORD } });
  });
  after(() => world?.end());

  for (const [name, make] of CONTAINERS_TOOLS) {
    test(`${name} pulls what is private with the registry's password, and with no other`, async () => {
      const host = world.cache.named("hub");
      const pull = async () =>
        await pullWith(
          world,
          make(() => byReference(host)),
        );
      for (const password of [undefined, "wrong password"]) {
        await logIn(world.runner.folder, host, USER, password);
        await assert.rejects(pull(), REFUSED);
      }
      await logIn(world.runner.folder, host, USER, PASSWORD);
      assert.deepEqual(await pull(), world.published.files.amd64);
      await logIn(world.runner.folder, host, USER, undefined);
    });
  }

  test("Docker pulls what is private after a login, and not without", async () => {
    const host = world.cache.named("ghcr");
    const engine = await DockerEngine.start(world, { insecure: [host] });
    const reference = `${host}/library/e2e:1`;
    await assert.rejects(engine.docker("pull", "--quiet", reference), REFUSED);
    await engine.docker("login", "--username", USER, "--password", PASSWORD, host);
    await engine.docker("pull", "--quiet", reference);
    assert.deepEqual(await engine.unpackAndForget(reference), world.published.files.amd64);
    await engine.docker("logout", host);
    await engine.stop();
  });

  test("containerd pulls what is private with the registry's password in its header, and with no other", async () => {
    const hosts = (password: string | undefined) => (its: World) => {
      const url = `http://${its.cache.named("hub")}`;
      const header = `  [host."${url}".header]\n    Authorization = "Basic ${encoded(USER, password ?? "")}"\n`;
      return { "docker.io": mirror(url, password === undefined ? "" : header) };
    };
    for (const password of [undefined, "wrong password"]) {
      await assert.rejects(pullWith(world, containerdPull(hosts(password))));
    }
    assert.deepEqual(await pullWith(world, containerdPull(hosts(PASSWORD))), world.published.files.amd64);
  });

  test("no password is in the log, and each blob was fetched once", async () => {
    const log = await world.cache.log();
    for (const secret of [PASSWORD, "wrong password", encoded(USER, PASSWORD)]) assert.ok(!log.includes(secret));
    const blobs = (await world.askedByCache()).filter(
      ({ method, target, status }) => method === "GET" && target.includes("/blobs/") && status === 200,
    );
    assert.equal(new Set(blobs.map(({ target }) => target)).size, blobs.length);
  });
});
