import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { hashSync } from "bcryptjs";

import { testAuthority } from "../support/certificate.ts";
import { notBuilt } from "./support/built-tools.ts";
import { mirror } from "./support/clients/containerd.ts";
import { dockerBuild, DockerEngine, dockerPull, type EngineOptions } from "./support/clients/docker.ts";
import { pullContract, type Shape } from "./support/contract.ts";
import { encoded } from "./support/login.ts";
import { OUTER_NAME, outerAddress } from "./support/processes.ts";
import { skipReason } from "./support/tools.ts";
import { createWorld, type World } from "./support/world.ts";

const SKIP = skipReason(["docker", "containerd", "runc", "tar"]) || notBuilt("dockerd");
const STORES = ["graph drivers", "containerd"] as const;
const TOKEN = "0123456789-secret-path-of-the-lab";
const [USER, PASSWORD] = ["ci-1", "correct horse battery"];
const IMAGE = "library/e2e:1";

interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** Files for a registry below /etc/docker as the engine sees it, if that was there at its start, in place of all others. */
async function certificates(world: World, registry: string, files: Readonly<Record<string, string>>): Promise<void> {
  const all = path.join(world.runner.etcDocker, "certs.d");
  await rm(all, { recursive: true, force: true });
  await mkdir(path.join(all, registry), { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(all, registry, name), text);
}

async function withEngine(world: World, options: EngineOptions, use: (engine: DockerEngine) => Promise<void>) {
  const engine = await DockerEngine.start(world, options);
  try {
    await use(engine);
  } finally {
    await engine.stop();
  }
}

/** Pulls, and looks at every file. */
async function assertPulls(world: World, engine: DockerEngine, reference = IMAGE): Promise<void> {
  await engine.docker("pull", "--quiet", reference);
  assert.deepEqual(await engine.unpackAndForget(reference), world.published.files.amd64);
}

/** The same by `docker build`, on top of it. */
async function assertBuilds(world: World, engine: DockerEngine): Promise<void> {
  const context = await world.folder("build");
  await writeFile(path.join(context, "Dockerfile"), `FROM ${IMAGE}\nLABEL built=here\n`);
  await engine.dockerWith({ DOCKER_BUILDKIT: "1" }, "build", "--quiet", "--tag", "built", context);
  assert.deepEqual(await engine.unpackAndForget("built"), world.published.files.amd64);
}

const mirrorWithPath = (store: (typeof STORES)[number]): Shape => ({
  title: `${store}: registry mirror with a path`,
  image: "hub",
  client: dockerPull(
    (_, repository) => repository.replace("library/", ""),
    ({ cache }) => ({ mirrors: [`http://${cache.host}/docker.io`], store }),
  ),
});

const SHAPES: readonly Shape[] = [
  ...STORES.map(mirrorWithPath),
  {
    title: "BuildKit with a registry mirror that has a path",
    image: "hub",
    client: dockerBuild(
      (_, repository) => `docker.io/${repository}`,
      ({ cache }) => ({ mirrors: [`http://${cache.host}/docker.io`], store: "containerd" }),
    ),
  },
  {
    title: "containerd: hosts.toml for all registries in /etc/docker/certs.d/_default",
    image: "ghcr",
    client: async (world) => {
      await certificates(world, "_default", { "hosts.toml": mirror(`http://${world.cache.host}`) });
      const pull = dockerPull(
        (_, repository) => `ghcr.io/${repository}`,
        () => ({ store: "containerd" }),
      );
      return await pull(world);
    },
  },
];

describe("Docker Engine 29", { skip: SKIP }, () => {
  let world: World;
  before(async () => {
    world = await createWorld();
  });
  after(() => world?.end());
  pullContract(() => world, SHAPES);
});

describe("Docker Engine 29 with a secret path", { skip: SKIP }, () => {
  let world: World;
  before(async () => {
    const access = { paths: [{ name: "lab", token_file: "lab.token" }] };
    world = await createWorld({ access, files: { "lab.token": TOKEN } });
  });
  after(() => world?.end());

  for (const store of STORES) {
    test(`${store}: pulls by it, and by no other`, async () => {
      const mirrors = (token: string) => [`http://${world.cache.host}${token}`];
      for (const token of ["", `/t/${TOKEN}x`]) {
        await withEngine(world, { store, mirrors: mirrors(token) }, async (engine) => {
          await assert.rejects(engine.docker("pull", "--quiet", IMAGE));
        });
      }
      await withEngine(world, { store, mirrors: mirrors(`/t/${TOKEN}`) }, async (engine) => {
        await assertPulls(world, engine);
        await assertBuilds(world, engine);
      });
    });
  }

  test("the log has its name alone", async () => {
    const log = await world.cache.log();
    assert.ok(!log.includes(TOKEN) && log.includes('"principal":"lab"'));
  });
});

describe("Docker Engine 29 with passwords", { skip: SKIP }, () => {
  let world: World;
  before(async () => {
    const files = { "users.htpasswd": `${USER}:${hashSync(PASSWORD, 4)}\n` };
    world = await createWorld({ access: { basic: { htpasswd: "users.htpasswd" } }, files });
    await mkdir(world.runner.etcDocker);
  });
  after(() => world?.end());

  for (const store of STORES) {
    test(`${store}: after a login at the mirror images are built on, but not pulled`, async () => {
      const { host } = world.cache;
      await withEngine(world, { store, mirrors: [`http://${host}`], insecure: [host] }, async (engine) => {
        await assert.rejects(assertBuilds(world, engine), /docker --host/);
        await engine.docker("login", "--username", USER, "--password", PASSWORD, host);
        await assert.rejects(engine.docker("pull", "--quiet", IMAGE));
        await assertBuilds(world, engine);
        await assertPulls(world, engine, `${host}/docker.io/${IMAGE}`);
        await engine.docker("logout", host);
      });
    });
  }

  test("containerd: the password for Docker Hub stays where it is", async () => {
    const { cache, runner } = world;
    await mkdir(path.join(runner.folder, "hub"));
    const auths = { "https://index.docker.io/v1/": { auth: encoded("hubuser", "hub-password") } };
    await writeFile(path.join(runner.folder, "hub/config.json"), JSON.stringify({ auths }));
    const env = { DOCKER_CONFIG: path.join(runner.folder, "hub") };
    const logged = (await cache.log()).length;
    await withEngine(world, { store: "containerd", mirrors: [`http://${cache.host}`] }, async (engine) => {
      await assert.rejects(engine.dockerWith(env, "pull", "--quiet", IMAGE));
    });
    const answers = (await cache.log()).slice(logged).match(/pulling here needs a user|the password is wrong/g);
    assert.deepEqual(new Set(answers), new Set(["pulling here needs a user"]));
  });

  test("containerd: pulls with the right password in a header of hosts.toml, and with no other", async () => {
    const url = `http://${world.cache.host}`;
    await withEngine(world, { store: "containerd" }, async (engine) => {
      const pullWith = async (more: string) => {
        await certificates(world, "docker.io", { "hosts.toml": mirror(url, more) });
        await assertPulls(world, engine);
      };
      const header = (password: string) =>
        `  [host."${url}".header]\n    Authorization = "Basic ${encoded(USER, password)}"\n`;
      for (const more of ["", header("wrong password")]) await assert.rejects(pullWith(more));
      await pullWith(header(PASSWORD));
    });
  });
});

const NO_OUTER = outerAddress() === undefined && "this machine has no address but the loopback's";

describe("Docker Engine 29 with client certificates", { skip: SKIP || NO_OUTER }, () => {
  const authority = testAuthority();
  const good = authority.issue("ci-1");
  const revoked = authority.issue("ci-2");
  const bad = [
    undefined,
    revoked,
    authority.issue("ci-3", [], { validDays: [-9, -2] }),
    testAuthority("another authority").issue("ci-1"),
  ];
  let world: World;
  before(async () => {
    const files = { "clients.pem": authority.cert, "revoked.pem": authority.revocations([revoked.serial]) };
    const access = { mtls: { ca: "clients.pem", crl: "revoked.pem", names: ["ci-*"] } };
    world = await createWorld({ tls: true, isOuter: true, access, files });
    await mkdir(world.runner.etcDocker);
  });
  after(() => world?.end());

  const mirrorHost = () => `${OUTER_NAME}:${world.cache.port}`;
  const pems = (own: Pair | undefined) => ({
    "ca.crt": world.cache.ca ?? "",
    ...(own === undefined ? {} : { "client.cert": own.cert, "client.key": own.key }),
  });

  for (const store of STORES) {
    const where = store === "containerd" ? "docker.io" : "the mirror";
    const title = `${store}: pulls with a certificate of the authority in the folder of ${where}, and with none that is revoked, expired or foreign`;
    test(title, async () => {
      const folder = store === "containerd" ? "docker.io" : mirrorHost();
      await withEngine(world, { store, mirrors: [`https://${mirrorHost()}`] }, async (engine) => {
        for (const own of bad) {
          await certificates(world, folder, pems(own));
          await assert.rejects(engine.docker("pull", "--quiet", IMAGE));
        }
        await certificates(world, folder, pems(good));
        await assertPulls(world, engine);
      });
    });
  }

  test("containerd: pulls with a certificate that hosts.toml names", async () => {
    const files = `  ca = "ca.crt"\n  client = [["client.cert", "client.key"]]\n`;
    const text = mirror(`https://${mirrorHost()}`, files);
    await withEngine(world, { store: "containerd" }, async (engine) => {
      await certificates(world, "docker.io", { ...pems(revoked), "hosts.toml": text });
      await assert.rejects(engine.docker("pull", "--quiet", IMAGE));
      await certificates(world, "docker.io", { ...pems(good), "hosts.toml": text });
      await assertPulls(world, engine);
    });
  });
});
