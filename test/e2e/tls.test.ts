import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { buildahFrom, byTlsReference, podmanPull, skopeoCopy } from "./support/clients/containers.ts";
import { dockerPull } from "./support/clients/docker.ts";
import { assertSentOnce, type Client, type Version } from "./support/contract.ts";
import { skipReason } from "./support/tools.ts";
import { createWorld, type World } from "./support/world.ts";

const CLIENTS = [
  ["Podman", podmanPull],
  ["Buildah", buildahFrom],
  ["Skopeo", skopeoCopy],
] as const;

const pointing = ({ cache }: World) => byTlsReference(`${cache.host}/docker.io`);

describe("over TLS", { skip: skipReason(["podman", "buildah", "skopeo"]) }, () => {
  let world: World;
  before(async () => {
    world = await createWorld({ tls: true });
  });
  after(() => world?.end());

  async function pull(start: (world: World) => Promise<Client>) {
    const { published } = world;
    const image = published.images.hub;
    const version: Version = { title: "by tag", suffix: `:${image.tag}`, platform: "amd64" };
    const client = await start(world);
    try {
      return await client.pull(version, image);
    } finally {
      await client.stop();
    }
  }

  test("a client that does not know the authority refuses to pull", async () => {
    await assert.rejects(
      pull(podmanPull(pointing)),
      /certificate signed by unknown authority|failed to verify certificate/,
    );
  });

  for (const [name, make] of CLIENTS) {
    test(`${name} pulls, once it knows it`, async () => {
      const { cache, runner, published } = world;
      const folder = path.join(runner.folder, ".config/containers/certs.d", cache.host);
      await mkdir(folder, { recursive: true });
      await writeFile(path.join(folder, "ca.crt"), cache.ca ?? "");
      assert.deepEqual(await pull(make(pointing)), published.files.amd64);
    });
  }

  test(
    "Docker pulls from loopback, whoever has signed",
    { skip: skipReason(["dockerd", "docker", "tar"]) },
    async () => {
      const start = dockerPull(({ cache }, repository) => `${cache.host}/docker.io/${repository}`);
      assert.deepEqual(await pull(start), world.published.files.amd64);
    },
  );

  test("the upstream sent each blob and each manifest once", () => assertSentOnce(world));
});
