import assert from "node:assert/strict";
import { mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { DISTRIBUTION_3 } from "../../bench/candidates/built.ts";
import { goProgramFile } from "../support/go-program.ts";
import { isProgram } from "../support/programs.ts";
import { notBuilt } from "./support/built-tools.ts";
import { DockerEngine } from "./support/clients/docker.ts";
import { byReference, podmanPull, skopeoCopy } from "./support/clients/containers.ts";
import { patiently } from "./support/certificates.ts";
import type { PublishedImage } from "./support/images.ts";
import type { SeenRequest } from "./support/origin.ts";
import { answers, freePort } from "./support/processes.ts";
import { skipReason, toolPath } from "./support/tools.ts";
import { createWorld, type World } from "./support/world.ts";

const SKIP_DOCKER = skipReason(["docker", "containerd", "runc", "tar", "podman"]) || notBuilt("dockerd");
const BLOBS = "docker/registry/v2/blobs/sha256";
const CHECKOUT = path.resolve(import.meta.dirname, "../..");

/** Runs `registry-cache import` with the cache's own configuration, and gives the report. */
async function imported(world: World, ...args: readonly string[]): Promise<Record<string, unknown>> {
  const command = [path.join(CHECKOUT, "bin/registry-cache"), "import", "--json", "--config", configOf(world)];
  const env = { PATH: `${path.dirname(process.execPath)}:${process.env["PATH"] ?? ""}` };
  return JSON.parse(await world.runner.run([...command, ...args], env)) as Record<string, unknown>;
}

function configOf({ runner }: World): string {
  return path.join(runner.folder, "registry-cache.yaml");
}

/** A volume as `registry:2` leaves it behind: what one client pulled through it. */
async function proxyVolume(world: World, image: PublishedImage, program: string): Promise<string> {
  const { repository, tag } = image;
  const port = await freePort();
  const folder = await world.folder("volume");
  const config = path.join(folder, "..", `${path.basename(folder)}.yml`);
  await writeFile(
    config,
    JSON.stringify({
      version: "0.1",
      storage: { filesystem: { rootdirectory: folder } },
      proxy: { remoteurl: world.origin.url },
      http: { addr: `127.0.0.1:${port}`, secret: "only for this run" },
    }),
  );
  const ready = (): Promise<boolean> => answers(`http://127.0.0.1:${port}/v2/`);
  const proxy = await world.runner.start("proxy", [program, "serve", config], { ready });
  try {
    const from = `docker://127.0.0.1:${port}/${repository}:${tag}`;
    const copy = path.join(await world.folder("pulled"), "copy");
    const skopeo = [toolPath("skopeo"), "--override-arch", "amd64", "copy", "--quiet", "--src-tls-verify=false"];
    await world.runner.run([...skopeo, from, `dir:${copy}`]);
    // It stores what it has given out, by another transfer, some time after that.
    const digests = await digestsOf(world, image);
    await patiently(async () => {
      const stored = await readdir(path.join(folder, BLOBS), { recursive: true });
      return digests.every((digest) => stored.includes(path.join(digest.slice(0, 2), digest, "data")));
    });
  } finally {
    await proxy.stop();
  }
  return folder;
}

/** The hexadecimal digits of all that a client on amd64 pulls. */
async function digestsOf(
  { origin }: World,
  { repository, indexDigest, platformDigests: { amd64 } }: PublishedImage,
): Promise<string[]> {
  const headers = { accept: "application/vnd.oci.image.manifest.v1+json" };
  const response = await fetch(`${origin.url}/v2/${repository}/manifests/${amd64}`, { headers });
  const { config, layers } = (await response.json()) as Record<"config", Named> & Record<"layers", Named[]>;
  const all = [indexDigest, amd64, config.digest, ...layers.map(({ digest }) => digest)];
  return all.map((digest) => digest.replace("sha256:", ""));
}

interface Named {
  readonly digest: string;
}

function bodies(requests: readonly SeenRequest[]): string[] {
  return requests.flatMap(({ method, status, target }) => (method === "GET" && status < 300 ? [target] : []));
}

describe("import", { skip: skipReason(["skopeo", "podman"]) }, () => {
  let world: World;
  let layout: string;
  before(async () => {
    world = await createWorld();
    await world.cache.stop();
  });
  after(() => world?.end());

  test("OCI layouts and archives of skopeo's are taken over under the name that is given", async () => {
    const image = world.published.images.corp;
    const folder = await world.folder("layouts");
    const from = `docker://${world.origin.host}/${image.repository}:${image.tag}`;
    const skopeo = [toolPath("skopeo"), "copy", "--quiet", "--all", "--src-tls-verify=false", from];
    const archive = path.join(folder, "archive.tar");
    layout = path.join(folder, "layout");
    await world.runner.run([...skopeo, `oci:${layout}:${image.tag}`]);
    await world.runner.run([...skopeo, `oci-archive:${archive}:${image.tag}`]);
    await world.runner.run(["gzip", "--keep", archive], { PATH: process.env["PATH"] ?? "" });
    const data = path.join(world.runner.folder, "cache");
    for (const [source, how] of [
      [layout, "linked"],
      [archive, "copied"],
      [`${archive}.gz`, "copied"],
    ] as const) {
      await rm(data, { recursive: true });
      await mkdir(data);
      const name = `${image.registry}/${image.repository}`;
      const report = await imported(world, source, "--as", `${name}:${image.tag}`);
      assert.deepEqual([report["tags"], report["manifests"], report["problemCount"]], [1, 3, 0]);
      const { blobs } = report[how] as { blobs: number };
      assert.ok(blobs >= 3 + 2 + 4, `${blobs} blobs were ${how}`);
    }
  });

  const skip3 = isProgram(goProgramFile(DISTRIBUTION_3)) ? false : "not built: distribution 3 (bench, with Go)";

  test("a registry:3 volume is taken over in the same way", { skip: skip3 }, async () => {
    const image = world.published.images.hub;
    const volume = await proxyVolume(world, image, goProgramFile(DISTRIBUTION_3));
    const data = path.join(world.runner.folder, "cache");
    await rm(data, { recursive: true });
    const report = await imported(world, "--registry", "dockerhub", volume);
    const { manifests, tags, damaged, missing, problemCount } = report;
    assert.deepEqual([manifests, tags, damaged, missing, problemCount], [2, 1, 0, 0, 0]);
    await assertShared(volume, data);
  });

  test("a registry:2 volume is taken over with no byte downloaded again", async () => {
    const image = world.published.images.hub;
    const volume = await proxyVolume(world, image, toolPath("docker-registry"));
    const data = path.join(world.runner.folder, "cache");

    await rm(data, { recursive: true });
    const plan = await imported(world, "--dry-run", "--registry", "dockerhub", volume);
    assert.deepEqual([plan["repositories"], plan["tags"], plan["roomNeeded"]], [1, 1, 0]);

    const report = await imported(world, "--registry", "dockerhub", volume);
    const { repositories, manifests, tags, damaged, problemCount } = report;
    assert.deepEqual([repositories, manifests, tags, damaged, problemCount], [1, 2, 1, 0, 0]);
    assert.deepEqual(report["copied"], { blobs: 0, bytes: 0 });
    assert.deepEqual(report["linked"], plan["wanted"]);
    await assertShared(volume, data);

    const again = await imported(world, "--registry", "dockerhub", volume);
    assert.deepEqual(again["held"], plan["wanted"]);

    const beforePull = (await world.origin.requests()).length;
    await world.cache.killAndRestart();
    const client = await skopeoCopy(({ cache }) => byReference(`${cache.host}/docker.io`))(world);
    const digest = image.platformDigests.amd64;
    const version = { title: "by digest", suffix: `@${digest}`, platform: "amd64" } as const;
    assert.deepEqual(await client.pull(version, image), world.published.files.amd64);
    const config = path.join(await world.folder("pulled"), "copy");
    const skopeo = [toolPath("skopeo"), "--override-arch", "amd64", "copy", "--quiet", "--src-tls-verify=false"];
    const from = `docker://${world.cache.host}/docker.io/${image.repository}:${image.tag}`;
    await world.runner.run([...skopeo, from, `dir:${config}`]);
    const asked = (await world.origin.requests()).slice(beforePull);
    assert.deepEqual(
      bodies(asked).filter((target) => target !== "/v2/"),
      [],
    );
    assert.ok(
      asked.some(({ method, target }) => method === "HEAD" && target.endsWith(`/manifests/${image.tag}`)),
      "an imported tag was confirmed by nobody",
    );
  });

  test("what the volume lacks is fetched when it is pulled", async () => {
    const image = world.published.images.hub;
    const client = await skopeoCopy(({ cache }) => byReference(`${cache.host}/docker.io`))(world);
    const version = { title: "by tag, for all platforms", suffix: `:${image.tag}`, platform: "arm64" } as const;
    assert.deepEqual(await client.pull(version, image), world.published.files.arm64);
  });

  test("with the upstream gone, all of it is served", async () => {
    const { hub, corp } = world.published.images;
    await world.cache.stop();
    // Beside the same blobs, which the volume has brought.
    const report = await imported(world, layout, "--as", `${corp.registry}/${corp.repository}:${corp.tag}`);
    assert.deepEqual([report["tags"], report["privateRepositories"], report["unknownRepositories"]], [1, 0, 0]);
    await world.origin.stop();
    await world.cache.killAndRestart();
    for (const image of [hub, corp]) {
      const client = await podmanPull(({ cache }) => byReference(`${cache.host}/${image.registry}`))(world);
      for (const platform of ["amd64", "arm64"] as const) {
        const version = { title: "by tag", suffix: `:${image.tag}`, platform };
        assert.deepEqual(await client.pull(version, image), world.published.files[platform]);
      }
    }
  });
});

describe("import of what Docker Engine saves", { skip: SKIP_DOCKER }, () => {
  let world: World;
  before(async () => {
    world = await createWorld();
  });
  after(() => world?.end());

  for (const store of ["graph drivers", "containerd"] as const) {
    test(`${store}: an archive is taken over under its own name`, async () => {
      const { cache, runner, published } = world;
      const archive = path.join(await world.folder("saved"), "image.tar");
      const engine = await DockerEngine.start(world, { mirrors: [`http://${cache.host}`], store });
      try {
        await engine.docker("pull", "--quiet", "library/e2e:1");
        await engine.docker("save", "--output", archive, "library/e2e:1");
      } finally {
        await engine.stop();
      }
      await cache.stop();
      const data = path.join(runner.folder, "cache");
      await rm(data, { recursive: true });
      await mkdir(data);
      const report = await imported(world, archive);
      assert.deepEqual(
        [report["repositories"], report["tags"], report["damaged"], report["problemCount"]],
        [1, 1, 0, 0],
      );
      await cache.killAndRestart();
      const asked = (await world.origin.requests()).length;
      const client = await podmanPull(() => byReference(`${cache.host}/docker.io`))(world);
      const version = { title: "by tag", suffix: ":1", platform: "amd64" } as const;
      assert.deepEqual(await client.pull(version, published.images.hub), published.files.amd64);
      const sent = bodies((await world.origin.requests()).slice(asked)).filter((target) => target.includes("/blobs/"));
      // What the graph drivers have made of the layers is not what the registry has.
      if (store === "containerd") assert.deepEqual(sent, []);
    });
  }
});

/** Every blob of the volume is the very same file in the cache. */
async function assertShared(volume: string, data: string): Promise<void> {
  const files = await readdir(path.join(volume, BLOBS), { recursive: true, withFileTypes: true });
  const inodes = await Promise.all(
    files
      .filter((entry) => entry.isFile())
      .map(async (entry) => {
        const file = path.join(entry.parentPath, entry.name);
        const there = await stat(path.join(data, path.relative(volume, file)));
        return [(await stat(file)).ino, there.ino];
      }),
  );
  assert.notEqual(inodes.length, 0);
  for (const [theirs, ours] of inodes) assert.equal(theirs, ours);
}
