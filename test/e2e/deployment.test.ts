import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, copyFile, cp, mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { get } from "node:https";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { hashSync } from "bcryptjs";

import { testAuthority } from "../support/certificate.ts";
import { ask } from "../support/client.ts";

import { notBuilt } from "./support/built-tools.ts";
import { patiently } from "./support/certificates.ts";
import { byReference, byTlsReference, podmanPull, skopeoCopy } from "./support/clients/containers.ts";
import { DockerEngine } from "./support/clients/docker.ts";
import type { Version } from "./support/contract.ts";
import { compose } from "./support/deployment/compose.ts";
import { BUILD_IMAGE, buildImage, CHECKOUT, IMAGE, importImage, RUNTIME_IMAGE } from "./support/deployment/image.ts";
import { relay } from "./support/deployment/relay.ts";
import { freeSubnet, type Subnet } from "./support/deployment/subnet.ts";
import { encoded } from "./support/login.ts";
import { unitSeccomp } from "./support/deployment/unit-seccomp.ts";
import { freePort } from "./support/processes.ts";
import { StepCa } from "./support/step-ca.ts";
import { SEARCH_PATH, skipReason, toolPath } from "./support/tools.ts";
import { notFetched, wheelPath, WHEELS } from "./support/wheels.ts";
import { createWorld, type World } from "./support/world.ts";

const portOf = (url: string): number => Number(new URL(url).port);

/** What a clone has, as far as it takes part. */
const INSTALLED_FROM = [
  ".dockerignore",
  ".npmrc",
  "Dockerfile",
  "LICENSE",
  "Makefile",
  "bin",
  "compose.yaml",
  "deploy",
  "package-lock.json",
  "package.json",
  "scripts",
  "src",
];

describe(
  "deployed in containers",
  { skip: skipReason(["dockerd", "docker", "docker-compose", "containerd", "runc", "tar", "skopeo", "podman"]) },
  () => {
    let world: World;
    let engine: DockerEngine;

    before(async () => {
      world = await createWorld();
      engine = await DockerEngine.start(world, {});
      world.onEnd(() => removeAll());
      await buildImage(world, engine);
      await engine.docker("tag", IMAGE, "kept:1");
    });
    after(() => world?.end());

    /** Their bridges are this machine's, and stay when the engine goes. */
    async function removeAll(): Promise<void> {
      const containers = (await engine.docker("ps", "--all", "--quiet")).split("\n").filter((id) => id !== "");
      if (containers.length > 0) await engine.docker("rm", "--force", ...containers);
      await engine.docker("network", "prune", "--force");
    }

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

      test("has all system calls that the systemd unit leaves it", async () => {
        const profile = path.join(await world.folder("seccomp"), "profile.json");
        await writeFile(profile, await unitSeccomp());
        await start(
          "filtered",
          "filtered",
          "--security-opt",
          `seccomp=${profile}`,
          "--env",
          "REGISTRY_CACHE_WORKERS=2",
        );
        await pull(`127.0.0.1:${port}/docker.io`);
        assert.equal(await stop("filtered"), "0");
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

    describe("make install", () => {
      let checkout: string;
      let port: number;
      before(async () => {
        // Whatever its owner has in this checkout stays out of it.
        checkout = path.join(await world.folder("checkout"), "registry-cache");
        await mkdir(checkout);
        for (const name of INSTALLED_FROM)
          await cp(path.join(CHECKOUT, name), path.join(checkout, name), { recursive: true });
        for (const name of ["node_modules", ".node"]) {
          if (existsSync(path.join(CHECKOUT, name)))
            await symlink(path.join(CHECKOUT, name), path.join(checkout, name));
        }
        port = await freePort();
        const config = { listen: `127.0.0.1:${port}`, access: { basic: { htpasswd: "users.htpasswd" } } };
        await writeFile(path.join(checkout, "registry-cache.yaml"), JSON.stringify(config));
        await writeFile(path.join(checkout, "users.htpasswd"), `user:${hashSync("password", 4)}\n`, { mode: 0o600 });
        await writeFile(path.join(checkout, ".env"), "REGISTRY_CACHE_LOG_LEVEL=debug\n", { mode: 0o600 });
      });

      async function make(...args: readonly string[]): Promise<string> {
        // The build is the one above, of which every step is known.
        const build = {
          CACHE_BUILD_NETWORK: "host",
          CACHE_BUILD_IMAGE: BUILD_IMAGE,
          CACHE_RUNTIME_IMAGE: RUNTIME_IMAGE,
        };
        const path_ = `${path.dirname(process.execPath)}:${SEARCH_PATH}`;
        const env = { DOCKER_HOST: engine.host, PATH: path_, ...build };
        return await world.runner.run(["make", "--no-print-directory", "-C", checkout, ...args], env);
      }

      const status = async (authorization?: string): Promise<number> => {
        const headers = authorization === undefined ? {} : { Authorization: authorization };
        return (await ask(`http://127.0.0.1:${port}/v2/`, { headers })).status;
      };

      test("finds the engine, builds, and installs the configuration with its users", async () => {
        assert.match(await make("install"), /^install with compose, since Docker runs here$/m);
        assert.equal(await status(), 401);
        assert.equal(await status(`Basic ${encoded("user", "password")}`), 200);
        assert.equal((await stat(path.join(checkout, "etc/users.htpasswd"))).mode & 0o777, 0o600);
        assert.match(await make("status"), /registry-cache/);
        assert.match(await make("logs"), /"serving"/);
      });

      test("a version that does not get ready makes way for the one before", async () => {
        const breaks = 'if (process.argv.includes("serve")) process.exit(3);';
        const launcher = path.join(checkout, "deploy/container/registry-cache");
        const good = await readFile(launcher, "utf8");
        await writeFile(launcher, `${good}${breaks}\n`);
        await assert.rejects(make("upgrade"), /the new version did not become ready; the one before it runs again/);
        assert.equal(await status(), 401);
        await writeFile(launcher, good);
      });

      test("destroyed it leaves nothing", async () => {
        await make("destroy", "YES=1");
        assert.equal(
          (
            await engine.docker("ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project=registry-cache")
          ).trim(),
          "",
        );
        assert.doesNotMatch(await engine.docker("volume", "ls", "--quiet"), /registry-cache_data/);
        assert.equal(existsSync(path.join(checkout, "etc")), false);
        // Others here need it.
        await engine.docker("tag", "kept:1", IMAGE);
      });
    });

    describe("behind Traefik, with Step-CA", { skip: notFetched("traefik") || notBuilt("step-ca") }, () => {
      const [USER, PASSWORD] = ["user", "correct horse battery"];
      const clients = testAuthority();
      const own = clients.issue("host-1");
      const FILES = ["compose.yaml", "deploy/traefik/labels.yaml", "deploy/traefik/compose.yaml"];
      let subnet: Subnet;
      let authority: StepCa;
      let config: string;
      let httpsPort: number;
      const stops: (() => Promise<void>)[] = [];

      before(async () => {
        subnet = freeSubnet();
        authority = await StepCa.start(world.runner, { addresses: [subnet.gateway] });
        stops.push(() => authority.stop());
        const root = await world.folder("traefik");
        await copyFile(wheelPath(WHEELS.traefik), path.join(root, "traefik"));
        for (const one of [root, path.join(root, "traefik")]) await chmod(one, 0o755);
        await importImage(world, engine, root, "local/traefik:1", ['ENTRYPOINT ["/traefik"]']);
        httpsPort = await freePort();
        const upstreamPort = await freePort();
        config = await configFolder(`http://${subnet.gateway}:${upstreamPort}`, {
          "traefik/users.htpasswd": `${USER}:${hashSync(PASSWORD, 4)}\n`,
          "traefik/clients-ca.pem": clients.cert,
          "traefik/step-ca-root.pem": authority.root,
        });
        // The bridge's address is there once the network is; Traefik asks the authority again until it answers.
        await run({}, "up", "--detach", "--no-build", "registry-cache");
        for (const [from, to] of [
          [upstreamPort, Number(new URL(world.origin.url).port)],
          [portOf(authority.directory), portOf(authority.directory)],
        ] as const) {
          const way = await relay(subnet.gateway, to, from);
          stops.push(() => way.stop());
        }
        await up({});
        const certificates = path.join(
          world.runner.folder,
          ".config/containers/certs.d",
          `ghcr.cache.test:${httpsPort}`,
        );
        await mkdir(certificates, { recursive: true });
        await writeFile(path.join(certificates, "ca.crt"), authority.root);
      });
      after(async () => {
        await run({}, "down", "--volumes");
        for (const stop of stops.toReversed()) await stop();
      });

      /** Ports and addresses of this run; what users write stands in `variables`. */
      async function run(variables: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<string> {
        const placed = {
          ACME_CA: "/etc/traefik/own/step-ca-root.pem",
          ACME_DIRECTORY: authority.directory.replace("127.0.0.1", subnet.gateway),
          CACHE_CONFIG: config,
          CACHE_DOMAIN: "cache.test",
          CACHE_NAMES: "ghcr.cache.test",
          CACHE_PORT: `127.0.0.1:${await freePort()}`,
          CACHE_RESOLVER: "step-ca",
          CACHE_SUBNET: subnet.cidr,
          COMPOSE_PROFILES: "dockerhub,ghcr",
          DOCKER_SOCKET: engine.host.replace("unix://", ""),
          TRAEFIK_ADDRESS: subnet.last,
          TRAEFIK_HTTP: `127.0.0.1:${authority.httpPort}`,
          TRAEFIK_HTTPS: `127.0.0.1:${httpsPort}`,
          TRAEFIK_IMAGE: "local/traefik:1",
          TRAEFIK_NETWORK: "rc-proxy",
        };
        const files = [...FILES, await quickHealth(config)];
        const options = { version: "1.29", project: "traefik", host: engine.host, files } as const;
        return await compose(world, { ...options, variables: { ...placed, ...variables } }, ...args);
      }

      async function up(variables: Readonly<Record<string, string>>): Promise<void> {
        await run(variables, "up", "--detach", "--no-build");
      }

      /** The answer's status, or why there was none. */
      async function asked(headers: Record<string, string> = {}, shown: { cert?: string; key?: string } = {}) {
        const to = { host: "127.0.0.1", port: httpsPort, path: "/v2/", servername: "ghcr.cache.test", agent: false };
        const request = get({ ...to, ...shown, ca: authority.root, headers: { Host: "ghcr.cache.test", ...headers } });
        try {
          const [response] = (await once(request, "response")) as [IncomingMessage];
          response.resume();
          return response.statusCode ?? 0;
        } catch (error) {
          return (error as NodeJS.ErrnoException).code ?? "";
        }
      }

      const comesTo = async (status: number | string, ...how: Parameters<typeof asked>): Promise<void> => {
        let last: number | string = "";
        await patiently(async () => (last = await asked(...how)) === status).catch(async (error: unknown) => {
          throw new Error(`${last} ${await run({}, "logs")}`, { cause: error });
        });
      };

      test("every host name of a chosen registry leads to it, with a certificate, and the cache knows who is asking", async () => {
        await comesTo(200);
        const { ghcr } = world.published.images;
        const client = await podmanPull(() => byTlsReference(`ghcr.cache.test:${httpsPort}`))(world);
        const version: Version = { title: "by tag", suffix: `:${ghcr.tag}`, platform: "amd64" };
        assert.deepEqual(await client.pull(version, ghcr), world.published.files.amd64);
        await client.stop();
        const log = await run({}, "logs", "registry-cache");
        const line = log.split("\n").find((one) => one.includes('"endpoint":"blob"')) ?? "";
        assert.match(line, /"registry":"ghcr"/);
        assert.match(line, new RegExp(`"client":"${subnet.gateway}"`));
        assert.doesNotMatch(log, /is not in `trusted_proxies`/);
        assert.match(log, /"registries":\["docker\.io","ghcr\.io"\]/);
      });

      test("plain HTTP is sent on to https", async () => {
        const headers = { Host: "ghcr.cache.test" };
        const answer = await ask(`http://127.0.0.1:${authority.httpPort}/v2/`, { headers });
        assert.match(String(answer.status), /^30[1278]$/);
        assert.match(answer.headers.location ?? "", /^https:\/\/ghcr\.cache\.test/);
      });

      test("users are asked for passwords", async () => {
        await up({ CACHE_CLIENTS: "basic" });
        await comesTo(401);
        await comesTo(200, { Authorization: `Basic ${encoded(USER, PASSWORD)}` });
      });

      test("clients are asked for certificates", async () => {
        await up({ CACHE_CLIENTS: "mtls" });
        await comesTo("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED");
        await comesTo(200, {}, own);
      });

      test("who is not in a network is kept out", async () => {
        await up({ REGISTRY_CACHE_NETWORKS: "192.0.2.128/25" });
        await comesTo(403);
      });

      test("Traefik found nothing wrong with its configuration", async () => {
        const log = stripVTControlCharacters(await run({}, "logs", "traefik"));
        assert.match(log, / INF .*Traefik version/);
        // Its warnings are about its own versions.
        assert.deepEqual(
          log.split("\n").filter((line) => / (?:ERR|FTL) /.test(line)),
          [],
        );
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
