import assert from "node:assert/strict";
import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { patiently } from "./support/certificates.ts";
import { byReference, skopeoCopy } from "./support/clients/containers.ts";
import { DockerEngine } from "./support/clients/docker.ts";
import type { Version } from "./support/contract.ts";
import { buildImage, IMAGE } from "./support/deployment/image.ts";
import { freePort } from "./support/processes.ts";
import { skipReason } from "./support/tools.ts";
import { createWorld, type World } from "./support/world.ts";

const BY_TAG: Version = { title: "by tag", suffix: ":1", platform: "amd64" };

describe(
  "the container image",
  { skip: skipReason(["dockerd", "docker", "containerd", "runc", "tar", "skopeo", "podman"]) },
  () => {
    let world: World;
    let engine: DockerEngine;
    let config: string;
    let port: number;

    before(async () => {
      world = await createWorld();
      engine = await DockerEngine.start(world, {});
      await buildImage(world, engine);
      port = await freePort();
      config = await world.folder("etc");
      // Whoever it runs as has to read it.
      await chmod(config, 0o755);
      const hub = { upstream: world.origin.url, allow_private_addresses: true, tags: NEVER };
      await writeFile(path.join(config, "registry-cache.yaml"), JSON.stringify({ registries: { dockerhub: hub } }));
    });
    after(() => world?.end());

    /** With nothing that it does not need: no capability, nothing to write but the volume. */
    async function start(name: string, ...more: readonly string[]): Promise<void> {
      const rights = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
      const places = ["--volume", "images:/data", "--volume", `${config}:/etc/registry-cache:ro`];
      const network = ["--network", "host", "--env", `REGISTRY_CACHE_LISTEN=127.0.0.1:${port}`];
      const health = ["--health-interval", "1s"];
      await engine.docker(
        "run",
        "--detach",
        "--name",
        name,
        ...rights,
        ...places,
        ...network,
        ...health,
        ...more,
        IMAGE,
      );
      await healthy(name);
    }

    async function healthy(name: string): Promise<void> {
      const state = async (): Promise<string> => await inspected(name, "{{.State.Status}} {{.State.Health.Status}}");
      await patiently(async () => /^exited|healthy$/.test(await state()));
      assert.equal(await state(), "running healthy", await engine.docker("logs", name));
    }

    async function inspected(name: string, format: string): Promise<string> {
      return (await engine.docker("inspect", "--format", format, name)).trim();
    }

    /** Stops it as an engine does; what it ended with says how it took that. */
    async function stop(name: string): Promise<string> {
      await engine.docker("stop", "--time", "60", name);
      const exitCode = await inspected(name, "{{.State.ExitCode}}");
      await engine.docker("rm", name);
      return exitCode;
    }

    async function pull(): Promise<void> {
      const client = await skopeoCopy(() => byReference(`127.0.0.1:${port}/docker.io`))(world);
      assert.deepEqual(await client.pull(BY_TAG, world.published.images.hub), world.published.files.amd64);
      await client.stop();
    }

    test("pulls with no rights and a read-only root, says that it is healthy, and ends with 0 when it is stopped", async () => {
      await start("first");
      await pull();
      assert.equal(await inspected("first", "{{.Config.User}}"), "10001:10001");
      assert.match(await engine.docker("exec", "first", "registry-cache", "health"), /^ready: http:/);
      assert.equal(await stop("first"), "0");
    });

    test("another container, of another user, has what the one before it kept", async () => {
      await world.origin.stop();
      await engine.docker(
        "run",
        "--rm",
        "--user",
        "0",
        "--volume",
        "images:/data",
        "--entrypoint",
        "/bin/busybox",
        "local/build:1",
        "chown",
        "-R",
        "4242:4242",
        "/data",
      );
      await start("second", "--user", "4242:4242");
      await pull();
      assert.equal(await stop("second"), "0");
    });

    test("a new volume can be written by whatever user it is run as", async () => {
      await rm(path.join(config, "registry-cache.yaml"));
      await engine.docker(
        "run",
        "--detach",
        "--name",
        "third",
        "--user",
        "31337:31337",
        "--network",
        "host",
        "--env",
        `REGISTRY_CACHE_LISTEN=127.0.0.1:${port}`,
        "--health-interval",
        "1s",
        IMAGE,
      );
      await healthy("third");
      assert.equal(await stop("third"), "0");
    });

    test("has no shell, and nothing of the build", async () => {
      const root = await world.folder("root");
      await mkdir(root, { recursive: true });
      const container = (await engine.docker("create", IMAGE)).trim();
      await engine.docker("export", "--output", `${root}.tar`, container);
      const files = (await world.runner.run(["tar", "-t", "-f", `${root}.tar`])).split("\n");
      const ours = files.filter(
        (file) => /^(?:opt|usr\/local|etc\/registry-cache|data)\/./.test(file) && !file.endsWith("/"),
      );
      assert.deepEqual(
        ours.filter((file) => !/^opt\/registry-cache\/dist\//.test(file)),
        [
          "opt/registry-cache/LICENSE",
          "opt/registry-cache/package.json",
          "usr/local/bin/node",
          "usr/local/bin/registry-cache",
        ],
      );
      assert.deepEqual(
        files.filter((file) => /(?:^|\/)(?:sh|bash|busybox|npm|\.npmrc)$/.test(file)),
        [],
      );
    });
  },
);

const NEVER = [{ match: "*", revalidate_after: "never" }];
