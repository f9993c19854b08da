import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";

import { startCommand } from "./support/command.ts";

const checkout = path.resolve(import.meta.dirname, "..");
// With a space: the scripts must stand any path.
const work = realpathSync(mkdtempSync(path.join(tmpdir(), "registry cache deploy ")));
after(() => rmSync(work, { recursive: true }));

const PARTS = ["scripts", "src", "package.json", "package-lock.json", "bin", "deploy", "LICENSE", "compose.yaml"];
const template = path.join(work, "template");
for (const name of PARTS) cpSync(path.join(checkout, name), path.join(template, name), { recursive: true });
symlinkSync(path.join(checkout, "node_modules"), path.join(template, "node_modules"));
// Once: it takes longer than all that is done with it.
execFileSync(process.execPath, [path.join(template, "scripts/build.ts")], { stdio: ["ignore", "ignore", "inherit"] });

/** A checkout with what `make setup` has built in it. */
function copyOfCheckout(): string {
  const root = mkdtempSync(path.join(work, "checkout "));
  cpSync(template, root, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  // The real one has 120 MB, which are copied by each installation.
  mkdirSync(path.join(root, "programs"));
  program(root, "node", `exec '${process.execPath}' "$@"`);
  return root;
}

/** Something by which one version differs from another. */
const VERSION_FILE = "dist/version.txt";

/** A program that comes before the machine's own. */
function program(root: string, name: string, text: string): void {
  writeFileSync(path.join(root, "programs", name), `#!/bin/sh\n${text}\n`);
  chmodSync(path.join(root, "programs", name), 0o755);
}

interface Ran {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

function deploy(root: string, verb: string, env: Readonly<Record<string, string>> = {}): Ran {
  const all = { PATH: `${path.join(root, "programs")}:/usr/bin:/bin`, HOME: root, ...env };
  const { status, stdout, stderr } = spawnSync(path.join(root, "scripts/deploy.sh"), [verb], {
    cwd: "/",
    env: all,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  return { status, out: stdout, err: stderr };
}

/** Every file with its mode and content, every link with its target. */
function snapshot(root: string): Record<string, string> {
  const names = readdirSync(root, { recursive: true, encoding: "utf8" }).toSorted();
  return Object.fromEntries(
    names.flatMap((name): [string, string][] => {
      const file = path.join(root, name);
      const stats = lstatSync(file);
      if (stats.isDirectory()) return [];
      if (stats.isSymbolicLink()) return [[name, `-> ${readlinkSync(file)}`]];
      const sum = createHash("sha256").update(readFileSync(file)).digest("hex");
      return [[name, `${(stats.mode & 0o777).toString(8)} ${sum}`]];
    }),
  );
}

/** A checkout and a place to install to, which has things of others in it. */
function world() {
  const root = copyOfCheckout();
  const dest = path.join(root, "dest");
  const others = { "etc/registry-cache/notes.txt": "keep me", "usr/local/bin/other": "", "var/lib/other/data": "" };
  for (const [name, text] of Object.entries(others)) {
    mkdirSync(path.join(dest, path.dirname(name)), { recursive: true });
    writeFileSync(path.join(dest, name), text);
  }
  const run = (verb: string, env: Readonly<Record<string, string>> = {}) =>
    deploy(root, verb, { METHOD: "systemd", DESTDIR: dest, ...env });
  const write = (name: string, text: string, mode = 0o644) => {
    writeFileSync(path.join(root, name), text, { mode });
  };
  const installed = (name: string) => path.join(dest, name);
  return { root, dest, run, write, installed };
}

function succeeds({ status, err }: Ran): void {
  assert.equal(status, 0, err);
}

describe("installing with systemd, below DESTDIR", () => {
  test("what was installed and destroyed leaves nothing behind, and nothing of others is gone", () => {
    const { dest, run, write, installed } = world();
    const before = snapshot(dest);
    write("registry-cache.yaml", "min_free_disk: 2GiB\n");
    write(".env", "REGISTRY_CACHE_DOCKERHUB_USERNAME=me\nREGISTRY_CACHE_DOCKERHUB_PASSWORD=secret\n", 0o600);
    succeeds(run("install"));
    assert.ok(existsSync(installed("opt/registry-cache/current/dist/main.js")));
    assert.equal(
      readlinkSync(installed("usr/local/bin/registry-cache")),
      "/opt/registry-cache/current/bin/registry-cache",
    );
    assert.equal(readFileSync(installed("etc/registry-cache/registry-cache.yaml"), "utf8"), "min_free_disk: 2GiB\n");
    assert.equal(statSync(installed("etc/registry-cache/.env")).mode & 0o777, 0o600);
    mkdirSync(installed("var/lib/registry-cache/docker"));

    succeeds(run("uninstall"));
    assert.ok(existsSync(installed("etc/registry-cache/.env")));
    assert.ok(existsSync(installed("var/lib/registry-cache/docker")));
    assert.equal(existsSync(installed("opt/registry-cache")), false);
    assert.equal(existsSync(installed("etc/systemd/system/registry-cache.service")), false);

    const { status, err } = run("destroy");
    assert.deepEqual([status, err.split("\n")[1]], [1, "hint: YES=1 means yes"]);
    assert.ok(existsSync(installed("var/lib/registry-cache/docker")));
    succeeds(run("destroy", { YES: "1" }));
    assert.deepEqual(snapshot(dest), before);
  });

  test("installed again it is the same, byte by byte", () => {
    const { dest, run, write } = world();
    write("registry-cache.yaml", "min_free_disk: 2GiB\n");
    succeeds(run("install"));
    const once = snapshot(dest);
    succeeds(run("install"));
    assert.deepEqual(snapshot(dest), once);
  });

  test("a new version takes the place of the one before, which stays for once", () => {
    const { run, write, installed } = world();
    const releases = () => readdirSync(installed("opt/registry-cache/releases"));
    succeeds(run("install"));
    for (const text of ["two", "three"]) {
      write(VERSION_FILE, text);
      succeeds(run("upgrade"));
      assert.equal(readFileSync(installed(`opt/registry-cache/current/${VERSION_FILE}`), "utf8"), text);
      assert.equal(releases().length, 2);
    }
  });

  test("an upgrade that was cut off between two names does not keep the next one from counting", () => {
    const { run, write, installed } = world();
    succeeds(run("install"));
    symlinkSync(readlinkSync(installed("opt/registry-cache/current")), installed("opt/registry-cache/current.partial"));
    write(VERSION_FILE, "two");
    succeeds(run("upgrade"));
    assert.equal(readFileSync(installed(`opt/registry-cache/current/${VERSION_FILE}`), "utf8"), "two");
  });

  test("of a data folder that others use too, destroying it takes the cache's own files and nothing else", () => {
    const { dest, run, write, installed } = world();
    const of = (folder: string, names: readonly string[]) => {
      for (const name of names) {
        mkdirSync(installed(path.join(folder, path.dirname(name))), { recursive: true });
        writeFileSync(installed(path.join(folder, name)), "");
      }
    };
    const engine = ["docker/overlay2/layer", "docker/registry/other", "spool/cron/root", "spool/mail"];
    of("srv", [...engine, "acme/account.conf", "unfinished/letter", "catalog.txt"]);
    const before = snapshot(dest);
    write("registry-cache.yaml", "data_dir: /srv\n");
    succeeds(run("install"));
    succeeds(run("destroy", { YES: "1" }));
    assert.deepEqual(snapshot(dest), before);

    succeeds(run("install"));
    const hex = "0".repeat(64);
    of("srv", [
      "docker/registry/v2/blobs/data",
      `spool/sha256-${hex}`,
      `spool/sha256-${hex}.json`,
      "unfinished/17/half",
    ]);
    of("srv", ["acme/account-ca.example.pem", "acme/certificate-a.example.pem", "keep-fresh.txt", "token-key"]);
    of("srv", ["catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite.broken-1", "lock.sqlite"]);
    succeeds(run("destroy", { YES: "1" }));
    assert.deepEqual(snapshot(dest), before);
  });

  test("a data folder of the user's own may be written by the service, and is what the command line works on", () => {
    const { run, write, installed } = world();
    const dropIn = installed("etc/systemd/system/registry-cache.service.d/data.conf");
    write("registry-cache.yaml", "data_dir: /srv/images\n");
    succeeds(run("install"));
    assert.equal(readFileSync(dropIn, "utf8"), "[Service]\nReadWritePaths=/srv/images\n");
    const launcher = () => readFileSync(installed("opt/registry-cache/current/bin/registry-cache"), "utf8");
    assert.match(launcher(), /^REGISTRY_CACHE_DATA_DIR=\$\{REGISTRY_CACHE_DATA_DIR:-\/srv\/images\}$/m);
    write("registry-cache.yaml", "");
    succeeds(run("install"));
    assert.equal(existsSync(dropIn), false);
    assert.match(launcher(), /:-\/var\/lib\/registry-cache\}$/m);
  });
});

test("of a data folder of the user's own, destroy removes all that the cache has made, and nothing else", async (t) => {
  const { root, dest, run, write } = world();
  const data = "/srv/images";
  mkdirSync(path.join(dest, data), { recursive: true });
  writeFileSync(path.join(dest, data, "mine.txt"), "");
  write("users.htpasswd", "", 0o600);
  // With users it makes a key for tokens.
  const access = { basic: { htpasswd: "users.htpasswd" }, bearer: true };
  write("registry-cache.yaml", JSON.stringify({ data_dir: path.join(dest, data), listen: "127.0.0.1:0", access }));
  const cache = startCommand(t, ["serve"], { cwd: root, environment: { REGISTRY_CACHE_LOG_FORMAT: "json" } });
  await cache.said(/"serving"/);
  const made = readdirSync(path.join(dest, data));
  for (const name of ["catalog.sqlite", "lock.sqlite", "token-key"]) assert.ok(made.includes(name), made.join());
  // What a kill leaves behind is the most that there can be.
  cache.signal("SIGKILL");
  await cache.ended();
  write("registry-cache.yaml", JSON.stringify({ data_dir: data }));
  succeeds(run("install"));
  succeeds(run("destroy", { YES: "1" }));
  assert.deepEqual(readdirSync(path.join(dest, data)), ["mine.txt"]);
});

test("destroyed with Compose, a data folder that only .env names loses its images too", () => {
  const { root, write } = world();
  program(root, "docker", 'case "$*" in "version --format"*) echo 29 ;; esac');
  const data = path.join(root, "images");
  mkdirSync(path.join(data, "docker/registry/v2"), { recursive: true });
  for (const name of ["lock.sqlite", "docker/registry/v2/blob", "letter"]) writeFileSync(path.join(data, name), "");
  for (const named of [data, "./images"]) {
    write(".env", `CACHE_DATA=${named}\n`);
    const { status, err } = deploy(root, "destroy", { METHOD: "compose" });
    assert.equal(status, 1);
    assert.ok(err.includes(`error: nobody is here to ask whether to remove all cached images in ${root}/`), err);
  }
  succeeds(deploy(root, "destroy", { METHOD: "compose", YES: "1" }));
  assert.deepEqual(readdirSync(data), ["letter"]);
});

describe("the configuration that is installed", () => {
  test("has no data folder whose name would be read as something else", () => {
    const { dest, run, write } = world();
    const before = snapshot(dest);
    for (const name of ["/", "/srv/a b", "/srv/$(id)", "/srv/a|b", "/srv/%h", "/srv/a\\nExecStartPre=/bin/x"]) {
      write("registry-cache.yaml", `data_dir: "${name}"\n`);
      const { status, err } = run("install");
      assert.match(err, /^error: data_dir: .* cannot be the folder of a systemd service\nhint: /, name);
      assert.equal(status, 1);
    }
    assert.deepEqual(snapshot(dest), before);
  });

  test("is taken with all files that it names, and without those that it names no more", () => {
    const { root, run, write, installed } = world();
    mkdirSync(path.join(root, "lists"));
    write("registry-cache.yaml", "access: { basic: { htpasswd: lists/users.htpasswd } }\n");
    write("lists/users.htpasswd", "", 0o600);
    succeeds(run("install"));
    assert.equal(statSync(installed("etc/registry-cache/lists/users.htpasswd")).mode & 0o777, 0o600);
    write("registry-cache.yaml", "");
    succeeds(run("install"));
    assert.equal(existsSync(installed("etc/registry-cache/lists/users.htpasswd")), false);
  });

  test("is not overwritten where somebody has changed it there", () => {
    const { dest, run, write, installed } = world();
    write("registry-cache.yaml", "min_free_disk: 2GiB\n");
    succeeds(run("install"));
    writeFileSync(installed("etc/registry-cache/registry-cache.yaml"), "min_free_disk: 3GiB\n");
    write("registry-cache.yaml", "min_free_disk: 4GiB\n");
    const before = snapshot(dest);
    const { status, err } = run("install");
    assert.equal(status, 1);
    assert.match(err, /^error: .*registry-cache\.yaml was changed there since it was installed\nhint: .*FORCE=1/);
    assert.deepEqual(snapshot(dest), before);
    succeeds(run("install", { FORCE: "1" }));
    const files = readdirSync(installed("etc/registry-cache"));
    const copy = files.find((name) => name.startsWith("registry-cache.yaml.before-")) ?? "";
    assert.equal(readFileSync(installed(`etc/registry-cache/${copy}`), "utf8"), "min_free_disk: 3GiB\n");
    assert.equal(readFileSync(installed("etc/registry-cache/registry-cache.yaml"), "utf8"), "min_free_disk: 4GiB\n");
  });

  test("is checked before anything is installed", () => {
    const { dest, run, write } = world();
    const before = snapshot(dest);
    write("registry-cache.yaml", "min_free_dsk: 2GiB\n");
    const { status, err } = run("install");
    assert.equal(status, 1);
    assert.match(err, /min_free_dsk/);
    assert.deepEqual(snapshot(dest), before);
  });
});

describe("the way of installing", () => {
  const SERVER =
    'case "$*" in "version --format"*) echo 20.10 ;; "compose version") ;; "build --help") echo "$HELP" ;; "build "*) echo "$*" >&2; exit 1 ;; *) exit 9 ;; esac';
  const HELP = "  --secret stringArray  Secret file to expose to the build";
  // What is said must not depend on what there is on the machine that tests.
  const BOOTED = existsSync("/run/systemd/system");

  test("is Compose where an engine answers, and that is said", () => {
    const { root } = world();
    program(root, "docker", SERVER);
    assert.match(deploy(root, "install", { HELP }).out, /^install with compose, since Docker runs here\n/);
  });

  test("is not Compose where the engine's client cannot build, and why is said", { skip: BOOTED }, () => {
    const { root } = world();
    program(root, "docker", SERVER);
    for (const env of [{}, { METHOD: "compose" }]) {
      const { status, err } = deploy(root, "install", env);
      assert.equal(status, 1);
      assert.match(err, /^error: .*docker build has no BuildKit.*\nhint: .*the buildx plugin of docker/);
    }
    assert.equal(existsSync(path.join(root, "etc")), false);
    // One that was built elsewhere needs no building.
    assert.match(deploy(root, "install", { CACHE_IMAGE: "other:1" }).out, /^install with compose/);
  });

  test("is not Compose where there is none, and that is said", { skip: BOOTED }, () => {
    const { root } = world();
    program(root, "docker", `case "$*" in "compose version") exit 1 ;; esac\n${SERVER}`);
    // Whatever else is there, this machine's own docker-compose is not.
    const folder = path.join(root, "few");
    mkdirSync(folder);
    for (const name of readdirSync("/usr/bin")) {
      if (!name.startsWith("docker")) symlinkSync(path.join("/usr/bin", name), path.join(folder, name));
    }
    const { err } = deploy(root, "install", { HELP, PATH: `${path.join(root, "programs")}:${folder}` });
    assert.match(err, /^error: .*a Docker Engine answers, but there is no Compose.*\nhint: .*docker-compose 1\.29/);
  });

  test("that cannot build the image leaves nothing behind, and names the other one", () => {
    const { root, write } = world();
    program(root, "docker", SERVER);
    write("registry-cache.yaml", "min_free_disk: 2GiB\n");
    const before = snapshot(root);
    const { status, err } = deploy(root, "install", { METHOD: "compose", HELP, HOME: work });
    assert.equal(status, 1);
    assert.match(
      err,
      /^error: the image could not be built; nothing was installed or changed\nhint: .*METHOD=systemd/m,
    );
    assert.deepEqual(snapshot(root), before);
  });

  test("is not systemd where the machine was not started with it, and nothing is written", { skip: BOOTED }, () => {
    const { root } = world();
    // Were anything written, it would be as somebody who may not.
    program(root, "id", "echo 1000");
    for (const verb of ["install", "upgrade", "status", "logs"]) {
      const { status, err } = deploy(root, verb, { METHOD: "systemd" });
      assert.equal(status, 1);
      assert.match(err, /^error: this machine was not started with systemd\nhint: METHOD=compose, /);
    }
  });

  test("need not be named to take away what an installation has left that did not come to its end", () => {
    for (const left of ["etc/sysusers.d/registry-cache.conf", "etc/registry-cache/.installed"]) {
      const { root, dest, write, installed } = world();
      program(root, "docker", "exit 1");
      const before = snapshot(dest);
      mkdirSync(path.dirname(installed(left)), { recursive: true });
      write(path.join("dest", left), "");
      succeeds(deploy(root, "uninstall", { DESTDIR: dest }));
      succeeds(deploy(root, "destroy", { DESTDIR: dest, YES: "1" }));
      assert.deepEqual(snapshot(dest), before);
      assert.match(deploy(root, "destroy", { DESTDIR: dest, YES: "1" }).err, /^error: it is not installed/);
    }
  });

  test("is neither where there is neither, and the verbs say that nothing is installed", () => {
    const { root } = world();
    for (const name of ["docker", "docker-compose", "systemctl"]) program(root, name, "exit 1");
    rmSync(path.join(root, "programs/systemctl"));
    if (BOOTED) return;
    const { status, err } = deploy(root, "install");
    assert.equal(status, 1);
    assert.match(err, /^error: neither .*: no Docker Engine answers, and systemd does not run\n/);
    assert.match(
      deploy(root, "logs").err,
      /^error: it is not installed, or not from this checkout\nhint: make install\n/,
    );
  });

  test("is what METHOD says, where it can be", () => {
    const { root } = world();
    program(root, "docker", "exit 1");
    assert.match(deploy(root, "install", { METHOD: "compose" }).err, /^error: no Docker Engine answers\n/);
    assert.match(deploy(root, "install", { METHOD: "podman" }).err, /^error: METHOD=podman is not known\n/);
    assert.equal(deploy(root, "frobnicate").status, 2);
  });
});
