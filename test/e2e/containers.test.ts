import { after, before, describe } from "node:test";

import {
  buildahFrom,
  byMirror,
  byReference,
  podmanPull,
  type Pointing,
  skopeoCopy,
} from "./support/clients/containers.ts";
import { type Client, pullContract, type Shape } from "./support/contract.ts";
import type { ImageName } from "./support/images.ts";
import { skipReason } from "./support/tools.ts";
import { createWorld, type World } from "./support/world.ts";

interface Way {
  readonly title: string;
  readonly image: ImageName;
  readonly pointing: (world: World) => Pointing;
}

/** All that registries.conf and references can express; these clients send no ns. */
const WAYS: readonly Way[] = [
  {
    title: "mirror with docker.io as a path",
    image: "hub",
    pointing: ({ cache }) => byMirror("docker.io", `${cache.host}/docker.io`),
  },
  {
    title: "mirror with an own registry as a path",
    image: "corp",
    pointing: ({ cache }) => byMirror("registry.corp.example", `${cache.host}/registry.corp.example`),
  },
  {
    title: "mirror at a host name that means ghcr.io",
    image: "ghcr",
    pointing: ({ cache }) => byMirror("ghcr.io", cache.named("ghcr")),
  },
  {
    title: "plain reference without a registry, which means Docker Hub",
    image: "hub",
    pointing: ({ cache }) => byReference(cache.host),
  },
  {
    title: "plain reference with ghcr.io as a path",
    image: "ghcr",
    pointing: ({ cache }) => byReference(`${cache.host}/ghcr.io`),
  },
  {
    title: "plain reference with a host name",
    image: "corp",
    pointing: ({ cache }) => byReference(cache.named("corp")),
  },
];

const CLIENTS: readonly (readonly [string, (pointing: Way["pointing"]) => (world: World) => Promise<Client>])[] = [
  ["Podman", podmanPull],
  ["Buildah", buildahFrom],
  ["Skopeo", skopeoCopy],
];

for (const [name, make] of CLIENTS) {
  const shapes: Shape[] = WAYS.map(({ title, image, pointing }) => ({ title, image, client: make(pointing) }));

  describe(name, { skip: skipReason(["podman", "buildah", "skopeo"]) }, () => {
    let world: World;
    before(async () => {
      world = await createWorld();
    });
    after(() => world?.end());
    pullContract(() => world, shapes);
  });
}
