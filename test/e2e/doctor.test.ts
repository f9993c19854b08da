import assert from "node:assert/strict";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";

import { documented, normal } from "../support/doctor-page.ts";
import { eventually } from "../support/open-files.ts";
import { builtPath, notBuilt } from "./support/built-tools.ts";
import { startBuildkitd } from "./support/clients/buildkit.ts";
import { mirror, startContainerd } from "./support/clients/containerd.ts";
import { byMirror } from "./support/clients/containers.ts";
import { DockerEngine, type EngineOptions } from "./support/clients/docker.ts";
import { OUTER_NAME, outerAddress } from "./support/processes.ts";
import { SEARCH_PATH, skipReason, toolPath } from "./support/tools.ts";
import { createWorld, type World } from "./support/world.ts";

interface Report {
  readonly cache: string;
  readonly problems: number;
  readonly findings: readonly {
    readonly level: string;
    readonly message: string;
    readonly fix?: string;
  }[];
}

const IMAGE = "docker.io/library/e2e:1";
/** It ends with 1 where something is wrong, which here is not. */
const SCRIPT = `curl -fsSL --insecure "$CACHE/connect/doctor" | sh -s -- "$@" || [ $? = 1 ]`;

/** What the script of that cache finds on a host whose settings lie below `host`. */
async function look(world: World, { cache, host, client, flags = [], env = {} }: Look): Promise<Report> {
  return JSON.parse(await lookText(world, { cache, host, client, flags: ["--json", ...flags], env })) as Report;
}

async function lookText(world: World, { cache, host, client, flags = [], env = {} }: Look): Promise<string> {
  const command = ["sh", "-c", SCRIPT, "sh", client, "--image", IMAGE, ...flags];
  return await world.runner.run(command, { CACHE: cache, DESTDIR: host, ...env });
}

interface Look {
  readonly cache: string;
  readonly host: string;
  readonly client: string;
  readonly flags?: readonly string[];
  readonly env?: Record<string, string>;
}

function messages({ findings }: Report, level: string): string[] {
  return findings.flatMap((one) => (one.level === level ? [one.message] : []));
}

function assertPullsThroughTheCache(report: Report, client: string): void {
  assert.deepEqual(messages(report, "problem"), []);
  const pulls = messages(report, "ok").find((message) => message.includes("pulls through the cache"));
  assert.match(
    pulls ?? JSON.stringify(report),
    new RegExp(`^${client} pulls through the cache: it has answered [1-9]\\d* requests? `),
  );
}

/** What is wrong with the settings, and then that the client therefore passes the cache by; each with a fix. */
function assertPassedBy(report: Report, cause: RegExp, fix: RegExp): void {
  const problems = report.findings.filter(({ level }) => level === "problem");
  assert.equal(problems.length, 2, JSON.stringify(report));
  assert.equal(report.problems, 2);
  assert.match(problems[0]?.message ?? "", cause);
  assert.match(problems[0]?.fix ?? "", fix);
  assert.match(problems[1]?.message ?? "", / passes the cache by, and could not pull from docker\.io either: /);
  assert.match(problems[1]?.message ?? "", cause);
  assert.ok(problems.every((one) => (one.fix ?? "") !== ""));
}

/** With systemd, and without it. */
const RELOADED = /^(?:systemctl reload docker|service docker restart|kill -HUP .*)$/;

describe("doctor on a host", { skip: skipReason(["dockerd", "docker", "containerd", "ctr", "runc", "podman"]) }, () => {
  let world: World;
  let cache: string;
  before(async () => {
    // A client says by a header as which host it comes, as far as the cache is to know.
    world = await createWorld({ trustedProxies: ["127.0.0.1"], access: { networks: ["127.0.0.0/8", "10.0.0.0/8"] } });
    cache = `http://${world.cache.host}`;
  });
  after(() => world?.end());

  describe("Docker", () => {
    async function engineOn(t: TestContext, options: EngineOptions) {
      const engine = await DockerEngine.start(world, options);
      const host = await world.folder("host");
      t.after(async () => {
        await engine.stop();
        await rm(host, { recursive: true });
      });
      await mkdir(path.join(host, "etc/docker"), { recursive: true });
      await symlink(engine.settings, path.join(host, "etc/docker/daemon.json"));
      const report = async (...flags: string[]) =>
        await look(world, { cache, host, client: "docker", flags, env: { DOCKER_HOST: engine.host } });
      const env = { DOCKER_HOST: engine.host };
      const text = async () => await lookText(world, { cache, host, client: "docker", env });
      return { engine, host, report, text };
    }

    test("a pull from the cache is seen there, and leaves nothing behind", async (t) => {
      const { engine, report } = await engineOn(t, { mirrors: [cache] });
      assertPullsThroughTheCache(await report(), "docker");
      assert.equal(await engine.docker("image", "ls", "--quiet"), "");
      await engine.docker("pull", "--quiet", IMAGE);
      assertPullsThroughTheCache(await report(), "docker");
      assert.notEqual(await engine.docker("image", "ls", "--quiet"), "");
    });

    test("without a mirror, and with one that the daemon has not read, until it is reloaded", async (t) => {
      const { engine, host, report, text } = await engineOn(t, {});
      assertPassedBy(await report(), /no mirror of it is the cache/, /curl -fsSL http:\S+\/connect\/docker \| sudo sh/);
      await writeFile(engine.settings, JSON.stringify({ "registry-mirrors": [cache], debug: true }));
      assertPassedBy(
        await report(),
        /daemon\.json names the cache as a mirror, and the daemon has not read it since/,
        RELOADED,
      );
      const said = (await text())
        .replaceAll(host, "")
        .replace(/(?<=fix: ).*docker(?: restart|\.pid\)")$/gm, "systemctl reload docker");
      assert.equal(normal(said), normal(await documented("sh -s -- docker")));
      const settingsOnly = await report("--no-pull");
      assert.equal(settingsOnly.problems, 1);
      assert.deepEqual(messages(settingsOnly, "skipped"), ["no pull was tried (--no-pull)"]);
      engine.reload();
      await eventually(async () =>
        (await engine.docker("info", "--format", "{{.RegistryConfig.Mirrors}}")).includes(cache),
      );
      assertPullsThroughTheCache(await report(), "docker");
      // What its file no longer names stays: an undo has to ask for a restart.
      await writeFile(engine.settings, JSON.stringify({ debug: false }));
      engine.reload();
      await eventually(async () => (await engine.docker("info", "--format", "{{.Debug}}")).trim() === "false");
      assert.ok((await engine.docker("info", "--format", "{{.RegistryConfig.Mirrors}}")).includes(cache));
    });
  });

  describe("Docker with the containerd store", { skip: notBuilt("dockerd") }, () => {
    test("hosts.toml leads to the cache, and a folder of the registry hides it", async (t) => {
      const certs = path.join(world.runner.etcDocker, "certs.d");
      await mkdir(path.join(certs, "_default"), { recursive: true });
      const engine = await DockerEngine.start(world, { store: "containerd" });
      t.after(async () => {
        await engine.stop();
        await rm(world.runner.etcDocker, { recursive: true });
      });
      await writeFile(path.join(certs, "_default/hosts.toml"), mirror(cache));
      const report = async () =>
        await look(world, { cache, host: "", client: "docker", env: { DOCKER_HOST: engine.host } });
      assertPullsThroughTheCache(await report(), "docker");
      await mkdir(path.join(certs, "docker.io"));
      assertPassedBy(await report(), /docker\.io hides \S+_default/, /^remove \/etc\/docker\/certs\.d\/docker\.io/);
    });
  });

  let containerd: string;
  before(async () => {
    const folder = await world.folder("c");
    containerd = path.join(folder, "s");
    await startContainerd(world, folder, containerd);
  });

  async function hostWith(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
    const host = await world.folder("host");
    t.after(() => rm(host, { recursive: true }));
    for (const [name, text] of Object.entries(files)) {
      const file = path.join(host, "etc/containerd/certs.d", name);
      await mkdir(path.dirname(file), { recursive: true });
      if (text !== "") await writeFile(file, text);
    }
    return host;
  }

  const containerdReport = async (host: string) =>
    await look(world, { cache, host, client: "containerd", env: { CONTAINERD_ADDRESS: containerd } });

  describe("containerd", () => {
    test("a pull from the cache is seen there, and leaves nothing behind", async (t) => {
      assertPullsThroughTheCache(
        await containerdReport(await hostWith(t, { "_default/hosts.toml": mirror(cache) })),
        "ctr",
      );
      const images = ["images", "ls", "--quiet"];
      assert.equal(await world.runner.run(["ctr", "--address", containerd, ...images]), "");
    });

    test("what the cache's own script has set up is found right", async (t) => {
      const host = await hostWith(t, {});
      await world.runner.run(["sh", "-c", 'curl -fsSL "$CACHE/connect/containerd" | sh'], {
        CACHE: cache,
        DESTDIR: host,
      });
      const flags = ["--hosts-dir", path.join(host, "etc/containerd/certs.d")];
      const env = { CONTAINERD_ADDRESS: containerd };
      assertPullsThroughTheCache(await look(world, { cache, host, client: "containerd", flags, env }), "ctr");
    });

    test("nothing is set up", async (t) => {
      assertPassedBy(
        await containerdReport(await hostWith(t, {})),
        /there is no hosts\.toml for docker\.io/,
        /\/connect\/containerd \| sudo sh/,
      );
    });

    test("a folder of the registry hides _default", async (t) => {
      const files = { "_default/hosts.toml": mirror(cache), "docker.io/hosts.toml": "" };
      assertPassedBy(
        await containerdReport(await hostWith(t, files)),
        /certs\.d\/docker\.io hides \S+_default, which leads to the cache/,
        /^remove \S+docker\.io, or /,
      );
    });

    test("a capability that containerd does not know makes it drop the file", async (t) => {
      const text = mirror(cache).replace('"resolve"', '"resolve", "referrers"');
      const found = await containerdReport(await hostWith(t, { "_default/hosts.toml": text }));
      assertPassedBy(
        found,
        /containerd drops all of \S+hosts\.toml: it does not know the capability "referrers"/,
        /^take "referrers" out of it$/,
      );
    });
  });

  describe("containerd that comes as another host than the shell does", () => {
    const as = (address: string) => mirror(cache, `  [host."${cache}".header]\n    X-Forwarded-For = "${address}"\n`);

    test("it is found out by a name that nobody else asks for", async (t) => {
      const found = await containerdReport(await hostWith(t, { "_default/hosts.toml": as("10.9.9.9") }));
      assert.deepEqual(messages(found, "problem"), []);
      assert.match(
        messages(found, "ok").at(-1) ?? "",
        /^ctr asks the cache, as 10\.9\.9\.9; this shell comes as 127\.0\.0\.1/,
      );
    });

    test("and that it is not let in", async (t) => {
      const found = await containerdReport(await hostWith(t, { "_default/hosts.toml": as("192.0.2.9") }));
      const [refused, ...more] = messages(found, "problem");
      assert.deepEqual(more, []);
      assert.match(
        refused ?? "",
        /^ctr passes the cache by, .*: the cache refuses it \(403\): .* \(it comes as 192\.0\.2\.9, this shell as 127/,
      );
    });
  });

  test("containerd, asked by nerdctl", { skip: notBuilt("nerdctl") }, async (t) => {
    const host = await hostWith(t, { "_default/hosts.toml": mirror(cache) });
    const bin = path.join(host, "bin");
    await mkdir(bin);
    await symlink(builtPath("nerdctl"), path.join(bin, "nerdctl"));
    const env = { CONTAINERD_ADDRESS: containerd, PATH: `${bin}:${SEARCH_PATH}` };
    const report = async () => await look(world, { cache, host, client: "containerd", env });
    assertPullsThroughTheCache(await report(), "nerdctl");
    await mkdir(path.join(host, "etc/containerd/certs.d/docker.io"));
    assertPassedBy(await report(), /docker\.io hides \S+_default/, /^remove /);
  });

  test("BuildKit", { skip: notBuilt("buildctl", "buildkitd") }, async (t) => {
    const folder = await world.folder("b");
    t.after(() => rm(folder, { recursive: true }));
    const settings = path.join(folder, "etc/buildkit/buildkitd.toml");
    await mkdir(path.dirname(settings), { recursive: true });
    const { host } = world.cache;
    await writeFile(settings, `[registry."docker.io"]\n  mirrors = ["${host}"]\n[registry."${host}"]\n  http = true\n`);
    const address = await startBuildkitd(world, folder, settings);
    const bin = path.join(folder, "bin");
    await mkdir(bin);
    await symlink(builtPath("buildctl"), path.join(bin, "buildctl"));
    const env = { BUILDKIT_HOST: address, PATH: `${bin}:${SEARCH_PATH}` };
    assertPullsThroughTheCache(await look(world, { cache, host: folder, client: "buildkit", env }), "buildkit");
    await writeFile(settings, "debug = true\n");
    const unset = await look(world, { cache, host: folder, client: "buildkit", flags: ["--no-pull"], env });
    assert.match(
      messages(unset, "problem")[0] ?? "",
      /buildkitd\.toml, with the mirrors of BuildKit, does not name the cache$/,
    );
  });

  describe("Podman", () => {
    async function report(
      t: TestContext,
      registriesConf: string,
      client = "podman",
      flags: readonly string[] = [],
    ): Promise<Report> {
      const folder = await world.folder("p");
      t.after(() => rm(folder, { recursive: true }));
      const registries = path.join(folder, "etc/containers/registries.conf.d/50-cache.conf");
      await mkdir(path.dirname(registries), { recursive: true });
      await writeFile(registries, registriesConf);
      const storage = path.join(folder, "storage.conf");
      const toml = `[storage]\ndriver = "vfs"\ngraphroot = "${folder}/root"\nrunroot = "${folder}/run"\n`;
      await writeFile(storage, toml);
      if (client !== "skopeo") {
        const env = { CONTAINERS_REGISTRIES_CONF: registries, CONTAINERS_STORAGE_CONF: storage };
        return await look(world, { cache, host: folder, client, flags, env });
      }
      // It looks at no variable, and below no other folder than /etc.
      const program = `#!/bin/sh\nexec ${toolPath("skopeo")} --registries-conf ${registries} "$@"\n`;
      await writeFile(path.join(folder, "skopeo"), program, { mode: 0o755 });
      return await look(world, { cache, host: folder, client, env: { PATH: `${folder}:${SEARCH_PATH}` } });
    }

    const settings = () => byMirror("docker.io", `${world.cache.host}/docker.io`).registriesConf;

    for (const client of ["podman", "skopeo", "buildah"]) {
      test(`${client}'s pull from the cache is seen there`, async (t) => {
        assertPullsThroughTheCache(await report(t, settings(), client), client);
      });
    }

    test("nothing is set up", async (t) => {
      assertPassedBy(
        await report(t, ""),
        /no file of registries\.conf has a mirror for docker\.io/,
        /\/connect\/podman \| sudo sh/,
      );
    });

    test("the mirror is spoken to with a TLS that it has not", async (t) => {
      const found = await report(t, settings().replace("insecure = true", ""), "podman", ["--no-pull"]);
      const [wrong, ...more] = messages(found, "problem");
      assert.deepEqual(more, []);
      assert.match(wrong ?? "", /^it would speak TLS to \S+, which has none/);
    });
  });
});

const NEEDED = skipReason(["dockerd", "docker", "containerd", "ctr", "runc", "podman"]);
const ALONE = outerAddress() === undefined ? "this machine has no network" : false;

describe("doctor on a host that does not trust the cache's certificate", { skip: NEEDED || ALONE }, () => {
  let world: World;
  let cache: string;
  before(async () => {
    world = await createWorld({ tls: true, isOuter: true });
    cache = `https://${OUTER_NAME}:${world.cache.port}`;
  });
  after(() => world?.end());

  test("Docker", async () => {
    const engine = await DockerEngine.start(world, { mirrors: [cache] });
    const host = await world.folder("host");
    const env = { DOCKER_HOST: engine.host };
    const report = await look(world, { cache, host, client: "docker", env });
    assertPassedBy(report, /it does not trust the cache's certificate/, /\/connect\/docker \| sudo sh/);
    // This host does by now, and the engine was started before: nothing here tells, but the cache has heard it from the engine.
    const ca = path.join(host, "ca.pem");
    await writeFile(ca, world.cache.ca ?? "");
    const [heard, ...more] = messages(
      await look(world, { cache, host, client: "docker", env: { ...env, CURL_CA_BUNDLE: ca } }),
      "problem",
    );
    assert.deepEqual(more, []);
    assert.match(
      heard ?? "",
      /^docker passes the cache by, .*: it does not trust the cache's certificate \(BAD_CERTIFICATE\)$/,
    );
    await engine.stop();
  });

  test("containerd, with and without the authority", async () => {
    const folder = await world.folder("c");
    const address = path.join(folder, "s");
    const stop = await startContainerd(world, folder, address);
    const certs = path.join(folder, "etc/containerd/certs.d");
    await mkdir(path.join(certs, "_default"), { recursive: true });
    const hosts = path.join(certs, "_default/hosts.toml");
    const report = async () =>
      await look(world, {
        cache,
        host: folder,
        client: "containerd",
        flags: ["--hosts-dir", certs],
        env: { CONTAINERD_ADDRESS: address },
      });
    await writeFile(hosts, mirror(cache));
    assertPassedBy(
      await report(),
      /containerd does not trust the cache's certificate: \S+ names no authority/,
      /\/connect\/containerd/,
    );
    const ca = path.join(world.runner.folder, "ca.pem");
    await writeFile(ca, world.cache.ca ?? "");
    await writeFile(hosts, mirror(cache, `  skip_verify = true\n`));
    assertPullsThroughTheCache(await report(), "ctr");
    await stop();
  });

  test("Podman", async () => {
    const folder = await world.folder("p");
    const registries = path.join(folder, "registries.conf");
    await writeFile(
      registries,
      byMirror("docker.io", `${OUTER_NAME}:${world.cache.port}`).registriesConf.replace("insecure = true", ""),
    );
    const env = { CONTAINERS_REGISTRIES_CONF: registries };
    const report = await look(world, { cache, host: folder, client: "podman", env });
    assertPassedBy(report, /it does not trust the cache's certificate/, /\/connect\/podman/);
  });
});
