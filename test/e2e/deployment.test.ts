import assert from "node:assert/strict";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { patiently } from "./support/certificates.ts";
import { byReference, skopeoCopy } from "./support/clients/containers.ts";
import { DockerEngine } from "./support/clients/docker.ts";
import type { Version } from "./support/contract.ts";
import { compose } from "./support/deployment/compose.ts";
import { buildImage, IMAGE } from "./support/deployment/image.ts";
import { relay } from "./support/deployment/relay.ts";
import { freeSubnet } from "./support/deployment/subnet.ts";
import { freePort } from "./support/processes.ts";
import { skipReason, toolPath } from "./support/tools.ts";
import { createWorld, type World } from "./support/world.ts";

describe(
  "deployed in containers",
  { skip: skipReason(["dockerd", "docker", "docker-compose", "containerd", "runc", "tar", "skopeo", "podman"]) },
  () => {
    let world: World;
    let engine: DockerEngine;

    before(async () => {
      world = await createWorld();
      engine = await DockerEngine.start(world, {});
      await buildImage(world, engine);
    });
    after(() => world?.end());

    async function inspected(name: string, format: string): Promise<string> {
      return (await engine.docker("inspect", "--format", format, name)).trim();
    }

    async function healthy(name: string): Promise<void> {
      const state = async (): Promise<string> => await inspected(name, "{{.State.Status}} {{.State.Health.Status}}");
      await patiently(async () => /^exited|healthy$/.test(await state()));
      assert.equal(await state(), "running healthy", await engine.docker("logs", name));
    }

    async function pull(prefix: string, image: "hub" | "ghcr" = "hub"): Promise<void> {
      const { tag } = world.published.images[image];
      const version: Version = { title: "by tag", suffix: `:${tag}`, platform: "amd64" };
      const client = await skopeoCopy(() => byReference(prefix))(world);
      assert.deepEqual(await client.pull(version, world.published.images[image]), world.published.files.amd64);
      await client.stop();
    }

    async function sentBlobs(): Promise<number> {
      const asked = await world.askedByCache();
      return asked.filter(({ method, target }) => method === "GET" && target.includes("/blobs/")).length;
    }

    /** A folder that is `/etc/registry-cache`: whoever the container runs as has to read it. */
    async function configFolder(upstream: string, files: Readonly<Record<string, string>> = {}): Promise<string> {
      const folder = await world.folder("etc");
      await chmod(folder, 0o755);
      const registry = { upstream, allow_private_addresses: true, tags: [{ match: "*", revalidate_after: "never" }] };
      const config = JSON.stringify({ registries: { dockerhub: registry, ghcr: registry } });
      for (const [name, text] of Object.entries({ "registry-cache.yaml": config, ...files })) {
        await mkdir(path.join(folder, path.dirname(name)), { recursive: true });
        await writeFile(path.join(folder, name), text);
      }
      return folder;
    }

    describe("the image", () => {
      let port: number;
      before(async () => {
        port = await freePort();
      });

      /** With nothing that it does not need: no capability, nothing to write but the volume. */
      async function start(name: string, volume: string, ...more: readonly string[]): Promise<void> {
        const config = await configFolder(world.origin.url);
        const flags = [
          ["--name", name, "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"],
          ["--volume", `${volume}:/data`, "--volume", `${config}:/etc/registry-cache:ro`, "--health-interval", "1s"],
          ["--network", "host", "--env", `REGISTRY_CACHE_LISTEN=127.0.0.1:${port}`],
        ];
        await engine.docker("run", "--detach", ...flags.flat(), ...more, IMAGE);
        await healthy(name);
      }

      /** Stops it as an engine does; what it ended with says how it took that. */
      async function stop(name: string): Promise<string> {
        await engine.docker("stop", "--time", "60", name);
        const exitCode = await inspected(name, "{{.State.ExitCode}}");
        await engine.docker("rm", name);
        return exitCode;
      }

      test("pulls with no rights and a read-only root, is healthy, and ends with 0 when it is stopped", async () => {
        await start("first", "images");
        await pull(`127.0.0.1:${port}/docker.io`);
        assert.equal(await inspected("first", "{{.Config.User}}"), "10001:10001");
        assert.match(await engine.docker("exec", "first", "registry-cache", "health"), /^ready: http:/);
        assert.equal(await stop("first"), "0");
      });

      test("another container has what the one before it kept", async () => {
        const sent = await sentBlobs();
        await start("second", "images");
        await pull(`127.0.0.1:${port}/docker.io`);
        assert.equal(await stop("second"), "0");
        assert.equal(await sentBlobs(), sent);
      });

      test("a new volume can be written by whatever user it is run as", async () => {
        await start("third", "others", "--user", "31337:31337");
        await pull(`127.0.0.1:${port}/docker.io`);
        assert.equal(await stop("third"), "0");
      });

      test("has no shell, and nothing of the build", async () => {
        const container = (await engine.docker("create", IMAGE)).trim();
        const tar = path.join(await world.folder("root"), "root.tar");
        await engine.docker("export", "--output", tar, container);
        const files = (await world.runner.run([toolPath("tar"), "-t", "-f", tar])).split("\n");
        const ours = files.filter((file) => /^(?:opt|usr\/local|etc\/registry-cache|data)\/.*[^/]$/.test(file));
        assert.deepEqual(
          ours.filter((file) => !file.startsWith("opt/registry-cache/dist/")),
          [
            "opt/registry-cache/LICENSE",
            "opt/registry-cache/package.json",
            "usr/local/bin/node",
            "usr/local/bin/registry-cache",
          ],
        );
        const unwanted = /(?:^|\/)(?:sh|bash|busybox|npm|\.npmrc)$/;
        assert.deepEqual(
          files.filter((file) => unwanted.test(file)),
          [],
        );
      });
    });

    describe("compose.yaml", () => {
      const options = { version: "1.29", project: "plain", host: "" } as const;

      test("serves at a loopback port, with an upstream's password for the networks that were named, and keeps its data", async () => {
        const subnet = freeSubnet();
        await engine.docker("network", "create", "--subnet", subnet.cidr, "--gateway", subnet.gateway, "plain");
        world.onEnd(async () => void (await engine.docker("network", "rm", "plain")));
        const upstream = await relay(subnet.gateway, Number(new URL(world.origin.url).port));
        world.onEnd(() => upstream.stop());
        const secret = "REGISTRY_CACHE_DOCKERHUB_USERNAME=me\nREGISTRY_CACHE_DOCKERHUB_PASSWORD=secret\n";
        const config = await configFolder(`http://${subnet.gateway}:${upstream.port}`, { ".env": secret });
        const port = await freePort();
        const network = path.join(config, "network.yaml");
        await writeFile(network, JSON.stringify({ networks: { default: { external: true, name: "plain" } } }));
        const variables = {
          CACHE_CONFIG: config,
          CACHE_PORT: `127.0.0.1:${port}`,
          REGISTRY_CACHE_NETWORKS: subnet.cidr,
        };
        const files = ["compose.yaml", network, await quickHealth(config)];
        const run = async (...args: string[]): Promise<string> => {
          return await compose(world, { ...options, host: engine.host, files, variables }, ...args);
        };
        const up = async (): Promise<void> => {
          await run("up", "--detach", "--no-build");
          await healthy((await run("ps", "--quiet", "registry-cache")).trim());
        };
        await up();
        await pull(`127.0.0.1:${port}/docker.io`);
        const sent = await sentBlobs();
        await run("down");
        await up();
        await pull(`127.0.0.1:${port}/docker.io`);
        assert.equal(await sentBlobs(), sent);
        await run("down", "--volumes");
        assert.doesNotMatch(await engine.docker("volume", "ls", "--quiet"), /plain_data/);
      });
    });

    /** So that nobody waits ten seconds. */
    async function quickHealth(folder: string): Promise<string> {
      const file = path.join(folder, "health.yaml");
      await writeFile(file, JSON.stringify({ services: { "registry-cache": { healthcheck: { interval: "1s" } } } }));
      return file;
    }
  },
);
