import { after, before, describe } from "node:test";

import { containerdPull, mirror } from "./support/clients/containerd.ts";
import { pullContract, type Shape } from "./support/contract.ts";
import { skipReason } from "./support/tools.ts";
import { createWorld, type World } from "./support/world.ts";

const OVERRIDE_PATH = "  override_path = true\n";

const SHAPES: readonly Shape[] = [
  {
    title: "one address for one registry, told apart by ns",
    image: "hub",
    client: containerdPull(({ cache }) => ({ "docker.io": mirror(`http://${cache.host}`) })),
  },
  {
    title: "one address for all registries (_default), told apart by ns",
    image: "ghcr",
    client: containerdPull(({ cache }) => ({ _default: mirror(`http://${cache.host}`) })),
  },
  {
    title: "one address for all registries (_default), an own registry",
    image: "corp",
    client: containerdPull(({ cache }) => ({ _default: mirror(`http://${cache.host}`) })),
  },
  {
    title: "a host name that means the registry",
    image: "ghcr",
    client: containerdPull(({ cache }) => ({ "ghcr.io": mirror(`http://${cache.named("ghcr")}`) })),
  },
  {
    title: "a path before /v2/",
    image: "hub",
    client: containerdPull(({ cache }) => ({ "docker.io": mirror(`http://${cache.host}/docker.io`) })),
  },
  {
    title: "a path after /v2/ (override_path)",
    image: "corp",
    client: containerdPull(({ cache }) => ({
      "registry.corp.example": mirror(`http://${cache.host}/v2/registry.corp.example`, OVERRIDE_PATH),
    })),
  },
  {
    title: "as the registry's only server",
    image: "ghcr",
    client: containerdPull(({ cache }) => ({
      // Without a [host] table containerd 1.6 takes the file for a broken one.
      "ghcr.io": `server = "http://${cache.host}/v2/ghcr.io"\n${OVERRIDE_PATH}[host]\n`,
    })),
  },
];

describe("containerd", { skip: skipReason(["containerd", "ctr"]) }, () => {
  let world: World;
  before(async () => {
    world = await createWorld();
  });
  after(() => world?.end());
  pullContract(() => world, SHAPES);
});
