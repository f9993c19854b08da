import { after, before, describe } from "node:test";

import { dockerBuild, dockerPull } from "./support/clients/docker.ts";
import { pullContract, type Shape } from "./support/contract.ts";
import { skipReason } from "./support/tools.ts";
import { createWorld, type World } from "./support/world.ts";

const SHAPES: readonly Shape[] = [
  {
    title: "registry mirror at an address and port",
    image: "hub",
    client: dockerPull(
      (_, repository) => repository.replace("library/", ""),
      ({ cache }) => ({ mirrors: [`http://${cache.host}`] }),
    ),
  },
  {
    title: "registry mirror at a host name that means Docker Hub",
    image: "hub",
    client: dockerPull(
      (_, repository) => `docker.io/${repository}`,
      ({ cache }) => ({ mirrors: [`http://${cache.named("hub")}`] }),
    ),
  },
  {
    title: "plain reference without a registry, which means Docker Hub",
    image: "hub",
    client: dockerPull(({ cache }, repository) => `${cache.host}/${repository.replace("library/", "")}`),
  },
  {
    title: "plain reference with docker.io as a path",
    image: "hub",
    client: dockerPull(({ cache }, repository) => `${cache.host}/docker.io/${repository}`),
  },
  {
    title: "plain reference with ghcr.io as a path",
    image: "ghcr",
    client: dockerPull(({ cache }, repository) => `${cache.host}/ghcr.io/${repository}`),
  },
  {
    title: "plain reference with an own registry as a path",
    image: "corp",
    client: dockerPull(({ cache }, repository) => `${cache.host}/registry.corp.example/${repository}`),
  },
  {
    title: "plain reference with a host name that means ghcr.io",
    image: "ghcr",
    client: dockerPull(({ cache }, repository) => `${cache.named("ghcr")}/${repository}`),
  },
  {
    title: "BuildKit with a registry mirror, which sends ns",
    image: "hub",
    client: dockerBuild(
      (_, repository) => repository.replace("library/", ""),
      ({ cache }) => ({ mirrors: [`http://${cache.host}`] }),
    ),
  },
  {
    title: "BuildKit with a plain reference",
    image: "ghcr",
    client: dockerBuild(({ cache }, repository) => `${cache.host}/ghcr.io/${repository}`),
  },
];

describe("Docker Engine", { skip: skipReason(["dockerd", "docker", "containerd", "runc", "tar"]) }, () => {
  let world: World;
  before(async () => {
    world = await createWorld();
  });
  after(() => world?.end());
  pullContract(() => world, SHAPES);
});
