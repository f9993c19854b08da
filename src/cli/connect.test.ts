import assert from "node:assert/strict";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { hashSync } from "bcryptjs";
import { startCache, testRegistry, type TestCache } from "../../test/support/cache.ts";
import { type Outcome, runCommand } from "../../test/support/command.ts";
import { FakeHost } from "../../test/support/fake-host.ts";
import { tempDir } from "../../test/support/temp.ts";
import { OPEN_ACCESS } from "../../test/support/cache.ts";
import type { Config } from "../config/config.ts";
import { run } from "./program.ts";

interface Call {
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly config?: string;
  /** Whether there is a terminal, and what is said to its question. */
  readonly confirms?: boolean;
  readonly typed?: string;
}

/** `registry-cache connect ...` on a host of nothing, in this process. */
async function connect(
  host: FakeHost,
  args: readonly string[],
  call: Call = {},
): Promise<Outcome & { asked: string[] }> {
  const { environment, config = "{}", confirms, typed = "" } = call;
  await writeFile(join(host.home, "registry-cache.yaml"), config);
  const text = { out: "", err: "" };
  const asked: string[] = [];
  const outputTo = (stream: "out" | "err") => ({
    write: (piece: string) => void (text[stream] += piece),
    isTerminal: false,
    hasColors: false,
  });
  const input = {
    isTerminal: confirms !== undefined,
    readAll: async () => typed,
    askSecret: async (question: string) => {
      asked.push(question);
      return typed;
    },
    confirm: async (question: string) => {
      asked.push(question);
      return confirms === true;
    },
    asker: async () => assert.fail("no conversation is wanted"),
  };
  const exitCode = await run(["connect", ...args], {
    environment: { PATH: process.env["PATH"], HOME: host.home, TMPDIR: host.tmp, DESTDIR: host.root, ...environment },
    cwd: host.home,
    input,
    out: outputTo("out"),
    err: outputTo("err"),
  });
  return { exitCode, ...text, asked };
}

const DROP_IN = "etc/containers/registries.conf.d/50-registry-cache.conf";
const FOR_ALL = "url: https://cache.example.com\n";

describe("connect", () => {
  test("without a client lists them", async (t) => {
    const host = await FakeHost.create(t);
    const { exitCode, out } = await connect(host, []);
    assert.equal(exitCode, 0);
    assert.match(out, /^docker {2,}Docker Engine \(also: dockerd, moby, docker-engine\)\n/);
    assert.match(out, /^regctl /m);
    const { out: json } = await connect(host, ["--json"]);
    assert.equal((JSON.parse(json) as { name: string }[])[0]?.name, "docker");
  });

  test("with one prints settings, what to know and what to try; nothing is written", async (t) => {
    const host = await FakeHost.create(t);
    const { exitCode, out, err } = await connect(host, ["buildah"], { config: FOR_ALL });
    assert.equal(exitCode, 0, err);
    assert.match(out, /^# \/etc\/containers\/registries\.conf\.d\/50-registry-cache\.conf\n/);
    assert.match(out, /^location = "cache\.example\.com\/docker\.io"$/m);
    assert.match(out, /^try it: {3}podman pull /m);
    assert.deepEqual(await host.tree(), {});
  });

  test("says where an address is good for this machine alone", async (t) => {
    const host = await FakeHost.create(t);
    const { exitCode, err } = await connect(host, ["podman"]);
    assert.equal(exitCode, 0);
    assert.match(err, /^note: http:\/\/127\.0\.0\.1:5000 is good for this machine alone; for others: write `url: /);
  });

  test("prints JSON, and the script", async (t) => {
    const host = await FakeHost.create(t);
    const { out } = await connect(host, ["docker", "--json"], { config: FOR_ALL });
    const json = JSON.parse(out) as { cache: { url: string }; variants: { name: string }[] };
    assert.equal(json.cache.url, "https://cache.example.com");
    assert.deepEqual(
      json.variants.map(({ name }) => name),
      ["graph-drivers", "containerd-store", "references"],
    );
    const { out: script } = await connect(host, ["docker", "--script"], { config: FOR_ALL });
    assert.match(script, /^#!\/bin\/sh\n/);
    assert.equal((await host.run(script)).exitCode, 0);
  });

  test("--apply, again, --undo; the configuration need not be right for the last one", async (t) => {
    const host = await FakeHost.create(t);
    const before = await host.tree();
    const call = { config: FOR_ALL };
    assert.match((await connect(host, ["podman", "--diff"], call)).out, /^\+prefix = "docker\.io"$/m);
    assert.deepEqual(await host.tree(), before);
    assert.equal((await connect(host, ["podman", "--apply"], call)).exitCode, 0);
    assert.match(await host.read(DROP_IN), /cache\.example\.com/);
    assert.match((await connect(host, ["podman", "--apply"], call)).out, /^nothing to do: /);
    assert.equal((await connect(host, ["podman", "--undo"], { config: "listen: [" })).exitCode, 0);
    assert.deepEqual(await host.tree(), before);
  });

  test("asks on a terminal, after it has shown what changes", async (t) => {
    const host = await FakeHost.create(t);
    const call = { config: FOR_ALL };
    const no = await connect(host, ["podman", "--apply"], { ...call, confirms: false });
    assert.deepEqual([no.exitCode, no.asked], [1, ["Write this?"]]);
    assert.match(no.out, /^\+prefix/m);
    assert.match(no.err, /error: given up; nothing was changed/);
    assert.deepEqual(await host.tree(), {});
    const yes = await connect(host, ["podman", "--apply"], { ...call, confirms: true });
    assert.equal(yes.exitCode, 0);
    assert.equal(yes.out.match(/^\+prefix = "docker\.io"$/gm)?.length, 1);
    const again = await connect(host, ["podman", "--apply"], { ...call, confirms: true });
    assert.deepEqual([again.exitCode, again.asked], [0, []]);
    assert.deepEqual((await connect(host, ["podman", "--apply", "--yes"], { ...call, confirms: false })).asked, []);
  });

  test("the script's own refusals are the command's", async (t) => {
    const host = await FakeHost.create(t, { "etc/docker/daemon.json": "[]" });
    const { exitCode, err } = await connect(host, ["docker", "--apply", "--variant", "graph-drivers"], {
      config: FOR_ALL,
    });
    assert.equal(exitCode, 1);
    assert.match(err, /^error: .*daemon\.json is no JSON object\nhint: mend it, and run this again\n$/m);
  });

  for (const [args, error] of [
    [["nonsense"], 'no client "nonsense" is known here'],
    [["docker", "--apply", "--undo"], "only one of --apply, --diff, --undo and --script can be done at once"],
    [["docker", "--sudo"], "--sudo belongs to --ssh"],
    [["docker", "--password-stdin"], "--password-stdin belongs to --login NAME"],
    [["docker", "--cert", "x"], "--cert and --key belong together"],
    [["docker", "--ssh", "-oProxyCommand=x"], "--ssh wants USER@HOST"],
    [["docker", "--ssh", "a b"], "--ssh wants USER@HOST"],
    [["docker", "--ssh", "root@host"], "http://127.0.0.1:5000 means another machine on root@host"],
    [["docker", "--only", "quay.example"], "this cache does not serve quay.example"],
    [["docker", "--server", "cache.example.com"], "--server wants an http:// or https:// address"],
    [["docker", "--server", "https://me:pw@cache.example.com"], "--server wants an http:// or https:// address"],
  ] as const) {
    test(`${args.join(" ")}: an error, a hint and exit code 2`, async (t) => {
      const host = await FakeHost.create(t);
      const { exitCode, err } = await connect(host, args);
      assert.equal(exitCode, 2);
      assert.ok(err.includes(`error: ${error}`), err);
      assert.deepEqual(await host.tree(), {});
    });
  }

  test("asks before it undoes, after it has shown what that is", async (t) => {
    const host = await FakeHost.create(t);
    const before = await host.tree();
    await connect(host, ["podman", "--apply"], { config: FOR_ALL });
    const applied = await host.tree();
    const no = await connect(host, ["podman", "--undo"], { confirms: false });
    assert.deepEqual([no.exitCode, no.asked], [1, ["Undo this?"]]);
    assert.match(no.out, /50-registry-cache\.conf: removed\n$/);
    assert.deepEqual(await host.tree(), applied);
    const yes = await connect(host, ["podman", "--undo"], { confirms: true });
    assert.equal(yes.exitCode, 0);
    assert.match(yes.out, /^.*: removed\neverything is as it was\n$/);
    assert.deepEqual(await host.tree(), before);
  });

  describe("--login", () => {
    const WITH_USERS = `${FOR_ALL}access: { basic: { htpasswd: users } }\n`;
    async function hostWithUsers(t: TestContext): Promise<FakeHost> {
      const host = await FakeHost.create(t);
      await writeFile(join(host.home, "users"), `me:${hashSync("right", 4)}\n`, { mode: 0o600 });
      return host;
    }

    test("wants a terminal, or standard input", async (t) => {
      const { exitCode, err } = await connect(await hostWithUsers(t), ["nerdctl", "--login", "me"], {
        config: WITH_USERS,
      });
      assert.equal(exitCode, 2);
      assert.match(err, /error: there is no terminal to ask for a password/);
    });

    for (const [args, config, note] of [
      [["nerdctl"], FOR_ALL, "this cache asks for no passwords"],
      [["podman"], WITH_USERS, /keeps passwords by itself: each user types podman login cache\.example\.com$/m],
    ] as const) {
      test(`${args.join(" ")}: says at once that it is of no use, and asks for nothing`, async (t) => {
        const call = { config, confirms: true };
        const { exitCode, err, asked } = await connect(await hostWithUsers(t), [...args, "--login", "me"], call);
        assert.deepEqual([exitCode, asked], [0, []]);
        assert.match(err, /^note: --login is of no use here: /);
        assert.match(err, new RegExp(note));
      });
    }
  });

  test("warns of a cache that does not answer, and of a password that it does not take", async (t) => {
    const host = await FakeHost.create(t);
    const nobody = await connect(host, ["podman"], { config: "url: http://127.0.0.1:9\n" });
    assert.equal(nobody.exitCode, 0);
    assert.match(nobody.err, /^warning: 127\.0\.0\.1:9 .*does the cache run/m);
    const users = join(host.home, "users");
    await writeFile(users, `me:${hashSync("right", 4)}\n`, { mode: 0o600 });
    const access = { ...OPEN_ACCESS, anonymous: false, htpasswd: users };
    const { url } = await startCache(t, [testRegistry("http://127.0.0.1:9")], { config: { access } });
    const config = `url: ${url}\naccess: { basic: { htpasswd: users } }\n`;
    const login = async (typed: string) =>
      await connect(host, ["nerdctl", "--apply", "--login", "me", "--password-stdin"], { config, typed });
    assert.match((await login("wrong")).err, /^warning: 127\.0\.0\.1:\d+ does not take this password of me \(401\)$/m);
    const right = await login("right");
    assert.deepEqual([right.exitCode, right.err.includes("warning")], [0, false]);
  });

  test("files that cannot be read are named", async (t) => {
    const host = await FakeHost.create(t);
    const { exitCode, err } = await connect(host, ["docker", "--path-token-file", "nowhere"]);
    assert.equal(exitCode, 1);
    assert.match(err, /^error: nowhere cannot be read \(ENOENT\)/m);
  });

  test("--help has examples", async (t) => {
    const { exitCode, out } = await connect(await FakeHost.create(t), ["--help"]);
    assert.equal(exitCode, 0);
    assert.match(out, /curl -fsSL https:\/\/cache\.example\.com\/connect\/containerd \| sudo sh/);
  });
});

describe("connect --server", () => {
  async function cacheWith(t: TestContext, differs: Partial<Config>): Promise<TestCache> {
    return await startCache(t, [testRegistry("http://127.0.0.1:9")], { config: differs });
  }

  async function withUsers(t: TestContext): Promise<TestCache> {
    const htpasswd = join(await tempDir(t), "users");
    await writeFile(htpasswd, `me:${hashSync("correct horse", 4)}\n`);
    return await cacheWith(t, { access: { ...OPEN_ACCESS, anonymous: false, htpasswd } });
  }

  test("asks the cache what clients must know", async (t) => {
    const { url } = await cacheWith(t, {});
    const host = await FakeHost.create(t);
    const { exitCode, out, err } = await connect(host, ["podman", "--server", url]);
    assert.equal(exitCode, 0, err);
    assert.ok(out.includes(`location = "${new URL(url).host}/docker.io"`));
    assert.ok(!out.includes("ghcr.io"));
  });

  test("shows a password where it is wanted, and writes it where clients keep it", async (t) => {
    const { url } = await withUsers(t);
    const host = await FakeHost.create(t);
    const args = ["nerdctl", "--server", url];
    const without = await connect(host, args);
    assert.equal(without.exitCode, 1);
    assert.match(without.err, /wants a user and a password\nhint: --login NAME asks for one\n/);
    const wrong = await connect(host, [...args, "--login", "me", "--password-stdin"], { typed: "wrong\n" });
    assert.equal(wrong.exitCode, 1);
    const typed = "correct horse\n";
    const right = await connect(host, [...args, "--apply", "--login", "me", "--password-stdin"], { typed });
    assert.equal(right.exitCode, 0, right.err);
    const encoded = Buffer.from("me:correct horse").toString("base64");
    assert.ok((await host.read("etc/containerd/certs.d/_default/hosts.toml")).includes(`Basic ${encoded}"`));
    assert.ok(!right.out.includes(encoded));
    const asked = await connect(host, [...args, "--login", "me"], { confirms: true, typed: "correct horse" });
    assert.deepEqual([asked.exitCode, asked.asked], [0, ["Password of me"]]);
  });

  test("nobody, somebody else, and a cache that says more than names", async (t) => {
    const host = await FakeHost.create(t);
    const closed = await connect(host, ["docker", "--server", "http://127.0.0.1:9"]);
    assert.equal(closed.exitCode, 1);
    assert.match(closed.err, /^error: 127\.0\.0\.1:9 /);
    const { createServer } = await import("node:http");
    const view = {
      url: "http://cache",
      isForAll: true,
      registries: [],
      defaultServes: "docker.io",
      ways: ["anonymous"],
    };
    const registry = { id: "x", serves: "docker.io", hostnames: [], passThrough: false };
    for (const answer of [
      "<html>",
      "{}",
      JSON.stringify({ ...view, url: "http://a'; id; '" }),
      JSON.stringify({ ...view, url: "http://me:pw@a" }),
      JSON.stringify({ ...view, registries: [{ ...registry, serves: "a'; touch x; '" }] }),
      JSON.stringify({ ...view, registries: [{ ...registry, serves: "a\nEND_OF_TEXT\nid" }] }),
      JSON.stringify({ ...view, registries: [{ ...registry, hostnames: ['a"\n[x]'] }] }),
      JSON.stringify({ ...view, defaultServes: "$(id)" }),
      JSON.stringify({ ...view, url: "https://a:99999" }),
      JSON.stringify({ ...view, url: "HTTPS://cache.example.com" }),
      JSON.stringify({ ...view, registries: [{ ...registry, hostnames: ["1.2.3.4.5"] }] }),
      JSON.stringify({ ...view, registries: [{ ...registry, hostnames: [":::"] }] }),
      JSON.stringify({ ...view, ca: "-----BEGIN PRIVATE KEY-----\n" }),
    ]) {
      const server = createServer((_req, res) => res.end(answer)).listen(0, "127.0.0.1");
      await new Promise((resolve) => server.once("listening", resolve));
      const { port } = server.address() as { port: number };
      const { exitCode, err } = await connect(host, ["docker", "--apply", "--server", `http://127.0.0.1:${port}`]);
      server.close();
      assert.equal(exitCode, 1, answer);
      assert.match(err, /answers 200, and not as a cache does/);
    }
    assert.deepEqual(await host.tree(), {});
  });
});

describe("connect --ssh", () => {
  /** No ssh: it runs here what it would run there, as sshd has a shell do it, and writes down with what it was called. */
  async function standIn(host: FakeHost): Promise<Record<string, string>> {
    const folder = join(host.home, "bin");
    await mkdir(folder, { recursive: true });
    const script = `#!/bin/sh
printf '%s\\n' "$@" >"${host.home}/called"
if [ "$1" != -- ]; then exit 255; fi
shift 2
exec sh -c "$*"
`;
    await writeFile(join(folder, "ssh"), script);
    await writeFile(join(folder, "sudo"), `#!/bin/sh\n[ "$1" = -n ] || exit 9\nshift\nexec "$@"\n`);
    for (const name of ["ssh", "sudo"]) await chmod(join(folder, name), 0o755);
    return { PATH: `${folder}:${process.env["PATH"] ?? ""}` };
  }

  test("does all of it there, and shows no secret on a command line", async (t) => {
    const host = await FakeHost.create(t);
    const environment = await standIn(host);
    const call = { environment, config: `${FOR_ALL}access: { basic: { htpasswd: users } }\n`, typed: "a password\n" };
    await writeFile(join(host.home, "users"), `me:${hashSync("a password", 4)}\n`, { mode: 0o600 });
    const before = await host.tree();
    const login = ["--login", "me", "--password-stdin"];
    const there = ["--ssh", "ops@host-1", "--sudo"];
    const applied = await connect(host, ["nerdctl", "--apply", "--variant", "nerdctl", ...there, ...login], call);
    assert.equal(applied.exitCode, 0, applied.err);
    const called = await readFile(join(host.home, "called"), "utf8");
    assert.equal(called, "--\nops@host-1\nsudo -n sh -s -- --apply --variant nerdctl\n");
    const text = await host.read("etc/containerd/certs.d/_default/hosts.toml");
    assert.ok(text.includes(Buffer.from("me:a password").toString("base64")));
    const undone = await connect(host, ["nerdctl", "--undo", ...there], call);
    assert.equal(undone.exitCode, 0, undone.err);
    assert.deepEqual(await host.tree(), before);
  });

  test("words keep to themselves", async (t) => {
    const host = await FakeHost.create(t);
    const environment = await standIn(host);
    const variant = "x'; touch /tmp/registry-cache-test-was-here; '";
    const { exitCode, err } = await connect(host, ["docker", "--ssh", "host", "--variant", variant], {
      environment,
      config: FOR_ALL,
    });
    assert.equal(exitCode, 1);
    assert.ok(err.includes(`there is no variant ${variant}`), err);
  });

  test("a program that is not there is said so", async (t) => {
    const host = await FakeHost.create(t);
    const { exitCode, err } = await connect(host, ["docker", "--ssh", "host"], {
      environment: { PATH: host.tmp },
      config: FOR_ALL,
    });
    assert.equal(exitCode, 1);
    assert.match(err, /^error: ssh cannot be started .*\nhint: install an OpenSSH client\n/m);
  });
});

test("as a process of its own, with the script's parts from beside its code", async (t) => {
  const host = await FakeHost.create(t);
  await writeFile(join(host.home, "registry-cache.yaml"), FOR_ALL);
  const environment = { HOME: host.home, TMPDIR: host.tmp, DESTDIR: host.root };
  const { exitCode, err } = await runCommand(t, ["connect", "podman", "--apply"], { cwd: host.home, environment });
  assert.equal(exitCode, 0, err);
  assert.match(await host.read(DROP_IN), /cache\.example\.com/);
});
