import assert from "node:assert/strict";
import { chmod, chown, lstat, mkdir, readdir, readFile, rm, symlink, utimes } from "node:fs/promises";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, test } from "node:test";
import { AUTHORITY, cacheView } from "../../test/support/cache-views.ts";
import { FakeHost, type ScriptCall, type ScriptOutcome } from "../../test/support/fake-host.ts";
import { BY_DEFAULT } from "./client.ts";
import { clientNamed } from "./clients.ts";
import { setupScript } from "./script.ts";
import type { CacheView } from "./view.ts";

const DAEMON = "etc/docker/daemon.json";
const TEXT = '{\n  "debug": true\n}\n';

function scriptOf(name: string, view: CacheView = cacheView({ ca: AUTHORITY })): string {
  const client = clientNamed(name);
  assert.ok(client);
  return setupScript(client, view, BY_DEFAULT);
}

async function run(host: FakeHost, name = "docker", call: ScriptCall = {}): Promise<ScriptOutcome> {
  return await host.run(scriptOf(name), call);
}

async function fails(host: FakeHost, name: string, message: RegExp, call: ScriptCall = {}): Promise<void> {
  const before = await host.tree();
  const { exitCode, err } = await run(host, name, call);
  assert.equal(exitCode, 1);
  assert.match(err, message);
  assert.deepEqual(await host.tree(), before);
}

async function undone(host: FakeHost, name: string, before: Record<string, string>): Promise<void> {
  const { exitCode, err } = await run(host, name, { flags: ["--undo"] });
  assert.equal(exitCode, 0, err);
  assert.deepEqual(await host.tree(), before);
}

describe("files that are not quite files", () => {
  test("a link stays, and what it leads to is written and brought back", async (t) => {
    const host = await FakeHost.create(t, { "srv/conf/daemon.json": TEXT });
    await host.link(DAEMON, "../../srv/conf/daemon.json");
    const before = await host.tree();
    await run(host);
    assert.ok((await lstat(host.path(DAEMON))).isSymbolicLink());
    assert.match(await host.read("srv/conf/daemon.json"), /registry-mirrors/);
    await undone(host, "docker", before);
  });

  test("a link to nothing yet: what it leads to is made, and goes again", async (t) => {
    const host = await FakeHost.create(t);
    await mkdir(host.path("srv"));
    await host.link(DAEMON, "../../srv/daemon.json");
    const before = await host.tree();
    await run(host);
    assert.match(await host.read("srv/daemon.json"), /registry-mirrors/);
    await undone(host, "docker", before);
  });

  test("a link out of an image is refused, also one of a folder", async (t) => {
    const host = await FakeHost.create(t);
    await host.link(DAEMON, join(host.home, "daemon.json"));
    await fails(host, "docker", /daemon.json leads out of .* by a link\nhint: make the link relative/);
    const other = await FakeHost.create(t);
    await other.link("etc/containers", other.home);
    await fails(other, "podman", /leads out of/);
    assert.deepEqual(await other.tree(other.home), {});
  });

  test("a folder in its place is refused", async (t) => {
    const host = await FakeHost.create(t);
    await mkdir(host.path(DAEMON), { recursive: true });
    await fails(host, "docker", /daemon.json is no file/);
  });
});

describe("owner, mode and time", () => {
  test("of a file that is changed stay, and come back", async (t) => {
    const host = await FakeHost.create(t, { [DAEMON]: TEXT });
    await chmod(host.path(DAEMON), 0o640);
    await utimes(host.path(DAEMON), 1_500_000_000.25, 1_500_000_000.25);
    const before = await host.tree();
    await run(host);
    assert.equal((await lstat(host.path(DAEMON))).mode & 0o777, 0o640);
    await run(host, "docker");
    await undone(host, "docker", before);
  });

  test("folders that are made can be read by everybody, whatever the umask; what is noted by nobody", async (t) => {
    const host = await FakeHost.create(t);
    await host.run(`umask 077\n${scriptOf("podman")}`);
    for (const name of ["etc/containers", "etc/containers/registries.conf.d", "etc/containers/certs.d"]) {
      assert.equal((await lstat(host.path(name))).mode & 0o777, 0o755, name);
    }
    assert.equal(
      (await lstat(host.path("etc/containers/registries.conf.d/50-registry-cache.conf"))).mode & 0o777,
      0o644,
    );
    assert.equal((await lstat(host.path("var/lib/registry-cache-connect/podman"))).mode & 0o777, 0o700);
  });
});

describe("what somebody else has written", () => {
  test("after us stays, and what is ours goes", async (t) => {
    const host = await FakeHost.create(t, {
      [DAEMON]: TEXT,
      "etc/containerd/config.toml": "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\n  config_path = ''\n",
      "etc/buildkit/buildkitd.toml": "debug = true\n",
    });
    const clients = ["docker", "containerd", "buildkit"];
    for (const name of clients) await run(host, name);
    const edit = async (name: string, from: RegExp, to: string) =>
      await host.write(name, (await host.read(name)).replace(from, to));
    await edit(DAEMON, /"debug": true/, '"debug": false, "max": 1');
    await edit("etc/containerd/config.toml", /^/, "# mine\n");
    await edit("etc/buildkit/buildkitd.toml", /$/, '\n[registry."x"]\n');
    for (const name of clients) assert.equal((await run(host, name, { flags: ["--undo"] })).exitCode, 0);
    assert.deepEqual(JSON.parse(await host.read(DAEMON)), { debug: false, max: 1 });
    assert.equal(
      await host.read("etc/containerd/config.toml"),
      "# mine\nversion = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\n  config_path = ''\n",
    );
    assert.equal(await host.read("etc/buildkit/buildkitd.toml"), 'debug = true\n\n[registry."x"]\n');
  });

  test("into a file that is ours alone is not lost without --replace", async (t) => {
    const host = await FakeHost.create(t);
    const before = await host.tree();
    const name = "etc/containers/registries.conf.d/50-registry-cache.conf";
    await run(host, "podman");
    await host.write(name, "# mine\n");
    await fails(host, "podman", /was changed since this has written it/, { flags: ["--undo"] });
    await fails(host, "podman", /was changed since this has written it/);
    await run(host, "podman", { flags: ["--replace"] });
    assert.match(await host.read(name), /docker\.io/);
    await undone(host, "podman", before);
  });

  test("at a place of ours is kept, with --replace put away and brought back", async (t) => {
    const name = "etc/containerd/certs.d/_default/hosts.toml";
    const host = await FakeHost.create(t, { [name]: 'server = "https://other.example"\n' });
    const before = await host.tree();
    await fails(host, "nerdctl", /hosts.toml is there already, and is somebody else's/);
    await run(host, "nerdctl", { flags: ["--replace"] });
    assert.match(await host.read(name), /cache\.example\.com/);
    await undone(host, "nerdctl", before);
  });

  test("that is gone meanwhile is not missed", async (t) => {
    const host = await FakeHost.create(t);
    const before = await host.tree();
    await run(host, "podman");
    await rm(host.path("etc/containers"), { recursive: true });
    const { exitCode } = await run(host, "podman", { flags: ["--undo"] });
    assert.equal(exitCode, 0);
    const { etc: _, ...rest } = await host.tree();
    assert.deepEqual(rest, before);
  });

  test("of Podman's for the same registry is not overruled", async (t) => {
    for (const text of [
      '[[registry]]\nprefix = "docker.io"\nblocked = true\n',
      "[[registry]]\nlocation = 'ghcr.io'\n",
    ]) {
      const host = await FakeHost.create(t, { "etc/containers/registries.conf": text });
      await fails(host, "podman", /registries.conf has settings for (?:docker|ghcr)\.io already/);
    }
    const mirror = '[[registry]]\nprefix = "x.example"\n[[registry.mirror]]\nlocation = "docker.io"\n';
    const host = await FakeHost.create(t, { "etc/containers/registries.conf": mirror });
    assert.equal((await run(host, "podman")).exitCode, 0);
    const old = await FakeHost.create(t, {
      "etc/containers/registries.conf": "[registries.search]\nregistries = []\n",
    });
    await fails(old, "podman", /has the first form of such files/);
  });

  test("of K3s has to be merged by hand", async (t) => {
    const host = await FakeHost.create(t, { "etc/rancher/k3s/registries.yaml": "mirrors: {}\n" });
    await fails(host, "k3s", /is somebody else's\nhint: merge it by hand with what --print shows/);
  });

  test("of BuildKit for the same registry is not doubled", async (t) => {
    for (const table of ['[registry."docker.io"]', "[registry.'docker.io'] # x", '  [ registry . "docker.io" ]']) {
      const host = await FakeHost.create(t, { "etc/buildkit/buildkitd.toml": `${table}\r\n` });
      await fails(host, "buildkit", /has a table \[registry\."docker\.io"\] already/);
    }
  });
});

describe("containerd's configuration", () => {
  const FILE = "etc/containerd/config.toml";
  const changed = async (host: FakeHost): Promise<string> => {
    const { exitCode, err } = await run(host, "containerd");
    assert.equal(exitCode, 0, err);
    return await host.read(FILE);
  };

  test("of version 3 has the key in another table", async (t) => {
    const host = await FakeHost.create(t, { [FILE]: "version = 3\n" });
    assert.match(await changed(host), /^\[plugins\."io\.containerd\.cri\.v1\.images"\.registry\]/m);
  });

  test("that names a folder already keeps it, and hosts.toml lie there", async (t) => {
    const text = `version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/srv/hosts:/etc/docker/certs.d" # mine\n`;
    const host = await FakeHost.create(t, { [FILE]: text });
    const before = await host.tree();
    assert.equal(await changed(host), text);
    assert.match(await host.read("srv/hosts/_default/hosts.toml"), /ca = "\/srv\/hosts\/_registry-cache\/ca\.crt"/);
    await undone(host, "containerd", before);
  });

  test("with an empty value, line ends of Windows and no last one gets the value, and has it taken again", async (t) => {
    const text = "version = 2\r\n[plugins.'io.containerd.grpc.v1.cri'.registry]\r\n  config_path = ''\r\n[x]\r\ny = 1";
    const host = await FakeHost.create(t, { [FILE]: text });
    const before = await host.tree();
    assert.match(await changed(host), /config_path = "\/etc\/containerd\/certs\.d"/);
    await undone(host, "containerd", before);
  });

  for (const [title, text, message] of [
    ["of version 1", "[plugins.cri]\n", /is in the first form of containerd's configuration/],
    [
      "with mirrors of the older kind",
      `version = 2\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]\nendpoint = []\n`,
      /has registry\.mirrors, beside which containerd allows no hosts\.toml/,
    ],
    [
      "with a table in one line",
      `version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nregistry = { config_path = "" }\n`,
      /has its registry settings in one line/,
    ],
    [
      "with a key of several parts",
      `version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nregistry.config_path = "/x"\n`,
      /has its registry settings in one line/,
    ],
  ] as const) {
    test(`${title}: is refused`, async (t) => {
      await fails(await FakeHost.create(t, { [FILE]: text }), "containerd", message);
    });
  }
});

const IS_ROOT = process.getuid?.() === 0 && spawnSync("unshare", ["--mount", "true"]).status === 0;

describe("disks that cannot be written to", { skip: !IS_ROOT && "needs root and mount namespaces" }, () => {
  /** In a mount namespace, so that what is mounted goes with the shell; tells of all files that are there at its end. */
  const mounted = (host: FakeHost, folder: string, mount: string): readonly string[] => {
    const script = `cd "$1" && ${mount} && cd . && shift && sh "$@"; code=$?; find . -type f; exit $code`;
    return ["unshare", "--mount", "sh", "-c", script, "sh", host.path(folder)];
  };
  const READ_ONLY = "mount --bind . . && mount -o remount,bind,ro .";
  const small = (kilobytes: number): string =>
    `cp -a . ../copy && mount -t tmpfs -o size=${kilobytes}k none . && cp -a ../copy/. "$1" && rm -r ../copy && cd "$1"`;

  for (const folder of ["etc", "var/lib"]) {
    test(`/${folder} is read-only: an error, and nothing is changed`, async (t) => {
      const host = await FakeHost.create(t, { [DAEMON]: TEXT });
      await mkdir(host.path("var/lib"), { recursive: true });
      const before = await host.tree();
      const { exitCode, err } = await run(host, "docker", { shell: mounted(host, folder, READ_ONLY) });
      assert.equal(exitCode, 1);
      assert.match(err, /^error: \/.*(?:cannot be (?:made|written|removed))\nhint: /m);
      assert.deepEqual(await host.tree(), before);
    });
  }

  test("a file that is mounted by itself is written over, and brought back", async (t) => {
    const host = await FakeHost.create(t, { [DAEMON]: TEXT, mounted: TEXT });
    await mkdir(host.path("var/lib"), { recursive: true });
    // mountinfo has another sign for a blank.
    const script = `cd "$1" && mkdir ../plain && mount --bind . ../plain && cd ../plain && mount --bind mounted etc/docker/daemon.json &&
      cat >script && DESTDIR=$(pwd) sh script && cp mounted ../between && DESTDIR=$(pwd) sh script --undo; code=$?; rm script; exit $code`;
    const before = await host.tree();
    const shell = ["unshare", "--mount", "sh", "-c", script, "sh", host.root];
    const { exitCode, err } = await run(host, "docker", { shell });
    assert.equal(exitCode, 0, err);
    assert.match(await readFile(join(host.root, "../between"), "utf8"), /registry-mirrors/);
    assert.deepEqual(await host.tree(), before);
  });

  for (const [folder, kilobytes] of [
    ["etc", 8],
    ["etc", 16],
    ["etc", 24],
    ["var/lib", 4],
    ["var/lib", 12],
  ] as const) {
    test(`/${folder} has ${kilobytes} KiB: an error, and nothing is half there`, async (t) => {
      const host = await FakeHost.create(t, { [DAEMON]: TEXT });
      await mkdir(host.path("var/lib"), { recursive: true });
      const before = await host.tree();
      const shell = mounted(host, folder, small(kilobytes));
      const { exitCode, out, err } = await host.run(scriptOf("docker", wide()), { shell });
      assert.equal(exitCode, 1, err);
      assert.match(err, /^error: .*cannot be (?:made|written|noted).*\nhint: nothing was changed/m);
      const left = out.split("\n").filter((line) => line.startsWith("./"));
      assert.deepEqual(left, folder === "etc" ? ["./docker/daemon.json"] : []);
      assert.deepEqual(await host.tree(), before);
    });
  }
});

/** With more certificates than there is space. */
function wide(): CacheView {
  const registries = Array.from({ length: 12 }, (_, at) => ({
    id: `r${at}`,
    serves: at === 0 ? "docker.io" : `r${at}.example`,
    hostnames: [`r${at}.cache.example.com`],
    passThrough: true,
  }));
  return cacheView({ registries, ca: AUTHORITY });
}

describe("run by root", { skip: process.getuid?.() !== 0 && "only root writes for others" }, () => {
  const NOBODY = 65_534;

  test("nothing is written where somebody else could lead it astray", async (t) => {
    const host = await FakeHost.create(t);
    const call = { flags: ["--user"], environment: { DESTDIR: "" } };
    await chown(host.home, NOBODY, NOBODY);
    const { exitCode, err } = await run(host, "podman", call);
    assert.equal(exitCode, 1);
    assert.match(err, /home belongs to somebody else.*\nhint: run this as that user/);
    assert.deepEqual(await readdir(host.home), []);
    await chown(host.home, 0, 0);
    assert.equal((await run(host, "podman", call)).exitCode, 0);
    assert.notDeepEqual(await readdir(host.home), []);
  });

  test("nor in a working folder of theirs, through a link that they have made", async (t) => {
    const host = await FakeHost.create(t);
    const target = host.path("astray");
    const view = cacheView({ ca: AUTHORITY });
    await mkdir(join(host.tmp, "theirs"));
    await chown(join(host.tmp, "theirs"), NOBODY, NOBODY);
    await mkdir(join(host.tmp, "theirs", "registry-cache-kaniko"));
    await symlink(target, join(host.tmp, "theirs", "registry-cache-kaniko", "ca.crt"));
    const call = { environment: { DESTDIR: "" }, cwd: join(host.tmp, "theirs") };
    const { exitCode, err } = await host.run(scriptOf("kaniko", view), call);
    assert.equal(exitCode, 1);
    assert.match(err, /belongs to somebody else/);
    await assert.rejects(lstat(target));
  });
});
