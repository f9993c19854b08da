import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { byReference, podmanPull } from "./support/clients/containers.ts";
import type { PublishedImage } from "./support/images.ts";
import { skipReason } from "./support/tools.ts";
import { createWorld, type World } from "./support/world.ts";

const CHECKOUT = path.resolve(import.meta.dirname, "../..");

async function warm(world: World, ...args: readonly string[]): Promise<string> {
  const config = path.join(world.runner.folder, "registry-cache.yaml");
  const command = [path.join(CHECKOUT, "bin/registry-cache"), "warm", "--config", config];
  const env = { PATH: `${path.dirname(process.execPath)}:${process.env["PATH"] ?? ""}` };
  return await world.runner.run([...command, ...args], env);
}

function fullName({ registry, repository, tag }: PublishedImage): string {
  return `${registry}/${repository}:${tag}`;
}

describe("warm", { skip: skipReason(["podman"]) }, () => {
  let world: World;
  before(async () => {
    world = await createWorld();
  });
  after(() => world?.end());

  test("brings in what a Compose file, Kubernetes manifests and the command line name", async () => {
    const { hub, ghcr, corp } = world.published.images;
    const folder = await world.folder("files");
    const [compose, pods] = [path.join(folder, "compose.yaml"), path.join(folder, "pods.yaml")];
    await writeFile(
      compose,
      `services: { app: { image: "${ghcr.registry}/${ghcr.repository}:\${TAG:-${ghcr.tag}}" } }\n`,
    );
    const pod = `kind: Pod\nmetadata: { name: lint }\nspec: { containers: [{ name: lint, image: "${fullName(corp)}" }] }\n`;
    await writeFile(pods, pod);
    const out = await warm(
      world,
      "--platform",
      "linux/amd64",
      "-f",
      compose,
      "-f",
      pods,
      hub.repository.replace("library/", "") + `:${hub.tag}`,
    );
    assert.equal(out, "3 of 3 images are there\n");
  });

  test("an image that its registry does not have is told of by the exit code", async () => {
    await assert.rejects(warm(world, "docker.io/library/e2e:none", "--json"), /"state":"failed"/);
  });

  test("what was brought in is pulled without its registry", async () => {
    await world.origin.stop();
    for (const image of Object.values(world.published.images)) {
      const client = await podmanPull(({ cache }) => byReference(`${cache.host}/${image.registry}`))(world);
      const version = { title: "by tag", suffix: `:${image.tag}`, platform: "amd64" } as const;
      assert.deepEqual(await client.pull(version, image), world.published.files.amd64);
    }
  });
});
