import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { hashSync } from "bcryptjs";

import { testAuthority } from "../support/certificate.ts";
import { eventually } from "../support/open-files.ts";
import { containerdPull, mirror } from "./support/clients/containerd.ts";
import { buildahFrom, byReference, byTlsReference, podmanPull, skopeoCopy } from "./support/clients/containers.ts";
import { DockerEngine } from "./support/clients/docker.ts";
import type { Client, Version } from "./support/contract.ts";
import { encoded, logIn as writeLogin } from "./support/login.ts";
import { OUTER_NAME, outerAddress } from "./support/processes.ts";
import type { Tree } from "./support/tree.ts";
import { skipReason } from "./support/tools.ts";
import { createWorld, type World } from "./support/world.ts";

const TOOLS = ["podman", "buildah", "skopeo", "dockerd", "docker", "containerd", "ctr", "runc", "tar"] as const;
const TOKEN = "0123456789-secret-path-of-the-lab";
const [USER, PASSWORD] = ["ci-1", "correct horse battery"];
const USERS = `${USER}:${hashSync(PASSWORD, 4)}\n`;
const CONTAINERS_TOOLS = [
  ["Podman", podmanPull],
  ["Buildah", buildahFrom],
  ["Skopeo", skopeoCopy],
] as const;
const REFUSED = /unauthorized|authentication required|no basic auth credentials|401|403|denied|DENIED|Forbidden/i;

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

function basic(password: string): string {
  return encoded(USER, password);
}

/** Podman, Buildah and Skopeo look for passwords below the home folder. */
async function logIn({ runner, cache }: World, password: string | undefined): Promise<void> {
  await writeLogin(runner.folder, cache.host, USER, password);
}

for (const bearer of [false, true]) {
  describe(bearer ? "with tokens" : "with passwords", { skip: skipReason(TOOLS) }, () => {
    let world: World;
    before(async () => {
      const access = { basic: { htpasswd: "users.htpasswd" }, bearer };
      world = await createWorld({ access, files: { "users.htpasswd": USERS } });
    });
    after(() => world?.end());

    for (const [name, make] of CONTAINERS_TOOLS) {
      test(`${name} pulls with the right password, and with no other`, async () => {
        const pull = async () =>
          await pullWith(
            world,
            make(({ cache }) => byReference(`${cache.host}/docker.io`)),
          );
        for (const password of [undefined, "wrong password"]) {
          await logIn(world, password);
          await assert.rejects(pull(), REFUSED);
        }
        await logIn(world, PASSWORD);
        assert.deepEqual(await pull(), world.published.files.amd64);
        await logIn(world, undefined);
      });
    }

    test("Docker pulls after a login with the right password, and with no other", async () => {
      const engine = await DockerEngine.start(world, {});
      const { host } = world.cache;
      const reference = `${host}/docker.io/library/e2e:1`;
      await assert.rejects(engine.docker("pull", "--quiet", reference), REFUSED);
      await assert.rejects(engine.docker("login", "--username", USER, "--password", "wrong password", host), REFUSED);
      await engine.docker("login", "--username", USER, "--password", PASSWORD, host);
      await engine.docker("pull", "--quiet", reference);
      assert.deepEqual(await engine.unpackAndForget(reference), world.published.files.amd64);
      await engine.docker("logout", host);
      await engine.stop();
    });

    test("containerd pulls with the right password in its header, and with no other", async () => {
      const hosts = (password: string | undefined) => (its: World) => {
        const url = `http://${its.cache.host}`;
        const header = `  [host."${url}".header]\n    Authorization = "Basic ${basic(password ?? "")}"\n`;
        return { "docker.io": mirror(url, password === undefined ? "" : header) };
      };
      for (const password of [undefined, "wrong password"]) {
        await assert.rejects(pullWith(world, containerdPull(hosts(password))));
      }
      assert.deepEqual(await pullWith(world, containerdPull(hosts(PASSWORD))), world.published.files.amd64);
    });

    test("no password is in the log", async () => {
      const log = await world.cache.log();
      for (const secret of [PASSWORD, "wrong password", basic(PASSWORD)]) assert.ok(!log.includes(secret));
      assert.ok(log.includes(`"principal":"${USER}"`));
    });
  });
}

describe("with passwords, behind Docker's mirror setting", { skip: skipReason(TOOLS) }, () => {
  let world: World;
  before(async () => {
    const access = { basic: { htpasswd: "users.htpasswd" } };
    world = await createWorld({ access, files: { "users.htpasswd": USERS } });
  });
  after(() => world?.end());

  test("the engine sends the password for Docker Hub; it is not kept, and the operator is warned", async () => {
    const { cache, runner } = world;
    const engine = await DockerEngine.start(world, { mirrors: [`http://${cache.host}`], insecure: [cache.host] });
    const config = path.join(runner.folder, "hub");
    await mkdir(config);
    const auth = Buffer.from("hubuser:hub-password").toString("base64");
    await writeFile(
      path.join(config, "config.json"),
      JSON.stringify({ auths: { "https://index.docker.io/v1/": { auth } } }),
    );
    await assert.rejects(engine.dockerWith({ DOCKER_CONFIG: config }, "pull", "--quiet", "library/e2e:1"));
    await engine.stop();
    await eventually(async () => (await cache.log()).includes("registry-mirrors"));
    const log = await cache.log();
    for (const secret of ["hub-password", "hubuser", auth]) assert.ok(!log.includes(secret));
  });
});

describe("with a secret path", { skip: skipReason(TOOLS) }, () => {
  let world: World;
  before(async () => {
    world = await createWorld({
      access: { paths: [{ name: "lab", token_file: "lab.token" }] },
      files: { "lab.token": TOKEN },
    });
  });
  after(() => world?.end());

  test("containerd pulls by it, and by no other", async () => {
    const by = (token: string) =>
      containerdPull(({ cache }) => ({ "docker.io": mirror(`http://${cache.host}/t/${token}`) }));
    await assert.rejects(pullWith(world, by(`${TOKEN}x`)));
    await assert.rejects(
      pullWith(
        world,
        containerdPull(({ cache }) => ({ "docker.io": mirror(`http://${cache.host}`) })),
      ),
    );
    assert.deepEqual(await pullWith(world, by(TOKEN)), world.published.files.amd64);
    const log = await world.cache.log();
    assert.ok(!log.includes(TOKEN) && log.includes('"principal":"lab"'));
  });
});

describe("with client certificates", { skip: skipReason(TOOLS) }, () => {
  const authority = testAuthority();
  const good = authority.issue("ci-1");
  const revoked = authority.issue("ci-2");
  const bad = {
    none: undefined,
    revoked,
    expired: authority.issue("ci-3", [], { validDays: [-9, -2] }),
    foreign: testAuthority("another authority").issue("ci-1"),
  };
  let world: World;
  before(async () => {
    const files = { "clients.pem": authority.cert, "revoked.pem": authority.revocations([revoked.serial]) };
    world = await createWorld({
      tls: true,
      isOuter: outerAddress() !== undefined,
      access: { mtls: { ca: "clients.pem", crl: "revoked.pem", names: ["ci-*"] } },
      files,
    });
  });
  after(() => world?.end());

  /** The folder that a client of the containers tools or of Docker takes for this cache. */
  async function certificates(folder: string, own: { cert: string; key: string } | undefined): Promise<void> {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, "ca.crt"), world.cache.ca ?? "");
    if (own === undefined) return;
    await writeFile(path.join(folder, "client.cert"), own.cert);
    await writeFile(path.join(folder, "client.key"), own.key);
  }

  for (const [name, make] of CONTAINERS_TOOLS) {
    test(`${name} pulls with a certificate of the authority, and with none that is revoked, expired or foreign`, async () => {
      const folder = path.join(world.runner.folder, ".config/containers/certs.d", world.cache.host);
      const pull = async () =>
        await pullWith(
          world,
          make(({ cache }) => byTlsReference(`${cache.host}/docker.io`)),
        );
      for (const own of Object.values(bad)) {
        await certificates(folder, own);
        await assert.rejects(pull(), REFUSED);
      }
      await certificates(folder, good);
      assert.deepEqual(await pull(), world.published.files.amd64);
    });
  }

  const noOuter = outerAddress() === undefined ? "this machine has no address but the loopback's" : false;

  test(
    "Docker pulls with a certificate of the authority, and with none that is revoked, expired or foreign",
    { skip: noOuter },
    async () => {
      const { etcDocker } = world.runner;
      const host = `${OUTER_NAME}:${world.cache.port}`;
      const folder = path.join(etcDocker, "certs.d", host);
      await certificates(folder, undefined);
      const engine = await DockerEngine.start(world, {});
      const reference = `${host}/docker.io/library/e2e:1`;
      for (const own of Object.values(bad)) {
        await certificates(folder, own);
        await assert.rejects(engine.docker("pull", "--quiet", reference));
      }
      await certificates(folder, good);
      await engine.docker("pull", "--quiet", reference);
      assert.deepEqual(await engine.unpackAndForget(reference), world.published.files.amd64);
      await engine.stop();
      await rm(etcDocker, { recursive: true });
    },
  );

  test("containerd pulls with a certificate of the authority, and with none that is revoked, expired or foreign", async () => {
    const folder = await world.folder("certs");
    await writeFile(path.join(folder, "ca.pem"), world.cache.ca ?? "");
    const hosts =
      (own: { cert: string; key: string } | undefined) =>
      ({ cache }: World) => {
        const client = own === undefined ? "" : `  client = [["${folder}/client.pem", "${folder}/client-key.pem"]]\n`;
        return { "docker.io": mirror(`https://${cache.host}`, `  ca = "${folder}/ca.pem"\n${client}`) };
      };
    const pull = async (own: { cert: string; key: string } | undefined) => {
      if (own !== undefined) {
        await writeFile(path.join(folder, "client.pem"), own.cert);
        await writeFile(path.join(folder, "client-key.pem"), own.key);
      }
      return await pullWith(world, containerdPull(hosts(own)));
    };
    for (const own of Object.values(bad)) await assert.rejects(pull(own));
    assert.deepEqual(await pull(good), world.published.files.amd64);
  });

  test("the log says who pulled", async () => {
    assert.ok((await world.cache.log()).includes('"principal":"ci-1"'));
  });
});
