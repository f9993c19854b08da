import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { AUTHORITY, cacheView, VIEWS } from "../../test/support/cache-views.ts";
import { FakeHost, SHELLS } from "../../test/support/fake-host.ts";
import { findProgram } from "../../test/support/programs.ts";
import { BY_DEFAULT, type Client } from "./client.ts";
import { CLIENTS, clientNamed } from "./clients.ts";
import { type KnownSecrets, setupScript } from "./script.ts";
import type { CacheView } from "./view.ts";

const SECRETS: KnownSecrets = {
  user: "ci",
  password: "p",
  clientCert: AUTHORITY,
  clientKey: "-----BEGIN PRIVATE KEY-----\nS0VZ\n-----END PRIVATE KEY-----\n",
  pathToken: "0123456789abcdef",
};

function scriptOf(client: Client | string, view: CacheView, secrets: KnownSecrets = SECRETS): string {
  const found = typeof client === "string" ? clientNamed(client) : client;
  assert.ok(found);
  return setupScript(found, view, BY_DEFAULT, secrets);
}

/** Its `cp -p` keeps whole seconds. */
function withTimes(isCoarse: boolean, tree: Record<string, string>): Record<string, string> {
  if (!isCoarse) return tree;
  return Object.fromEntries(Object.entries(tree).map(([name, text]) => [name, text.replace(/\d{9} (?=\S*$)/, "")]));
}

/** Which between them have every kind of a step. */
const WIDE = [VIEWS["plain HTTP in a network"], VIEWS["passwords or client certificates"]];

/** What a host has already, of files that more than one client writes to. */
const BEFORE = {
  "etc/docker/daemon.json": '{\n  "debug": true,\n  "registry-mirrors": [ "https://other.example" ]\n}',
  "etc/containerd/config.toml":
    "version = 2\n# by hand\n[plugins.'io.containerd.grpc.v1.cri'.registry]\n  config_path = ''\n",
  "etc/buildkit/buildkitd.toml": 'debug = true\n[registry."quay.io"]\n  http = true',
};

describe("whatever a client and a cache are like, and whichever shell reads it", { concurrency: 2 }, () => {
  for (const shell of SHELLS) {
    test(`${shell.join(" ")}: applied, applied again, undone: nothing is left`, async (t) => {
      for (const client of CLIENTS) {
        // The other shells get what is most of it.
        const isMost = ["docker", "containerd", "podman"].includes(client.name);
        if (shell[0] !== "dash" && !isMost) continue;
        for (const view of isMost && shell[0] === "dash" ? WIDE : WIDE.slice(-1)) {
          const host = await FakeHost.create(t, BEFORE);
          const isCoarse = shell[0] === "busybox";
          const before = withTimes(isCoarse, await host.tree());
          const script = scriptOf(client, view);
          const first = await host.run(script, { shell });
          assert.equal(first.exitCode, 0, `${client.name}: ${first.err}`);
          if (first.out.startsWith("nothing to do")) continue;
          const applied = await host.tree();
          assert.notDeepEqual(applied, before);
          const second = await host.run(script, { shell });
          assert.match(second.out, /^nothing to do: /, client.name);
          assert.deepEqual(await host.tree(), applied);
          const undone = await host.run(script, { shell, flags: ["--undo"] });
          assert.deepEqual([undone.exitCode, undone.err], [0, ""]);
          assert.deepEqual(withTimes(isCoarse, await host.tree()), before, client.name);
          assert.deepEqual([await host.tree(host.home), await host.tree(host.tmp)], [{}, {}]);
        }
      }
    });
  }

  test("with other programs of the same names, and with few of them", async (t) => {
    const awks = ["mawk", "gawk", "original-awk", "busybox"].filter((name) => findProgram(name) !== undefined);
    const view = VIEWS["passwords or client certificates"];
    const results = new Set<string>();
    for (const awk of awks) {
      const host = await FakeHost.create(t, BEFORE);
      const environment = await host.bareTools({ awk });
      const before = await host.tree();
      for (const client of ["docker", "containerd", "buildkit"]) {
        const { exitCode, err } = await host.run(scriptOf(client, view), { environment });
        assert.equal(exitCode, 0, `${awk}: ${err}`);
      }
      const texts = Object.values(await host.tree()).map((one) => one.replace(/ \d+ (?=\S*$)/, " "));
      results.add(texts.join("\n"));
      for (const client of ["buildkit", "containerd", "docker"]) {
        await host.run(scriptOf(client, view), { environment, flags: ["--undo"] });
      }
      assert.deepEqual(await host.tree(), before, awk);
    }
    assert.equal(results.size, 1);
  });

  test("without a program that it needs it says so, and does nothing", async (t) => {
    const host = await FakeHost.create(t, BEFORE);
    const before = await host.tree();
    const { exitCode, err } = await host.run(scriptOf("docker", cacheView()), {
      environment: { PATH: host.tmp },
    });
    assert.equal(exitCode, 1);
    assert.match(err, /^error: this host has no awk\n/);
    assert.deepEqual(await host.tree(), before);
  });
});

test("cut off anywhere on its way, it does nothing", async (t) => {
  const host = await FakeHost.create(t, BEFORE);
  const before = await host.tree();
  const script = scriptOf("docker", cacheView());
  const lines = script.split("\n");
  // After a line, and within one.
  for (let at = 0; at < lines.length - 2; at += 23) {
    const whole = lines.slice(0, at).join("\n");
    for (const text of [whole, whole + (lines[at] ?? "").slice(0, 7)]) await host.run(text);
  }
  // The last line, letter by letter: without its options the script would write.
  for (let at = script.lastIndexOf("{ main"); at < script.trimEnd().length; at++) {
    await host.run(script.slice(0, at), { flags: ["--diff"] });
  }
  assert.deepEqual(await host.tree(), before);
});

describe("over what an earlier run has written", () => {
  test("other settings take the place of all of those, and undoing brings back what was before the first", async (t) => {
    const host = await FakeHost.create(t, BEFORE);
    const before = await host.tree();
    const alone = await FakeHost.create(t, BEFORE);
    for (const client of ["docker", "containerd", "podman"]) {
      const last = scriptOf(client, VIEWS["plain HTTP in a network"]);
      await host.run(scriptOf(client, VIEWS["client certificates"]), { flags: [] });
      await host.run(scriptOf(client, VIEWS["a name for each registry"]));
      const { exitCode, err } = await host.run(last);
      assert.equal(exitCode, 0, err);
      await alone.run(last);
    }
    const texts = async (one: FakeHost) =>
      Object.entries(await one.tree()).map(([name, text]) => [name, text.replace(/ \d+ (?=\S*$)/, " ")]);
    // What is noted of it tells of folders in another order.
    const settings = (all: string[][]) => all.filter(([name]) => name?.startsWith("etc"));
    assert.deepEqual(settings(await texts(host)), settings(await texts(alone)));
    for (const client of ["docker", "containerd", "podman"]) {
      await host.run(scriptOf(client, cacheView()), { flags: ["--undo"] });
    }
    assert.deepEqual(await host.tree(), before);
  });

  test("another password takes the place of the one before", async (t) => {
    const host = await FakeHost.create(t);
    const view = VIEWS["passwords"];
    await host.run(scriptOf("nerdctl", view, { user: "a", password: "first-one" }));
    const { out } = await host.run(scriptOf("nerdctl", view, { user: "a", password: "second-one" }));
    const encoded = (text: string) => Buffer.from(text).toString("base64");
    const text = await host.read("etc/containerd/certs.d/_default/hosts.toml");
    assert.ok(text.includes(`Basic ${encoded("a:second-one")}"`));
    // Neither of them is shown.
    assert.ok(!out.includes(encoded("a:first-one")) && !out.includes(encoded("a:second-one")));
    assert.match(out, /^\+.*Basic \*{8}/m);
  });
});

describe("two runs at once", () => {
  test("come one after the other", async (t) => {
    const host = await FakeHost.create(t, BEFORE);
    const before = await host.tree();
    const scripts = ["http://10.0.0.1:5000", "http://10.0.0.2:5000", "http://10.0.0.3:5000"].map((url) =>
      scriptOf("docker", cacheView({ url })),
    );
    const ends = await Promise.all(scripts.map((script) => host.run(script)));
    assert.deepEqual(
      ends.map(({ exitCode, err }) => [exitCode, err.replace(/^\(which.*\n/, "")]),
      [
        [0, ""],
        [0, ""],
        [0, ""],
      ],
    );
    const daemon = JSON.parse(await host.read("etc/docker/daemon.json")) as { "registry-mirrors": string[] };
    assert.equal(daemon["registry-mirrors"].length, 2);
    await host.run(scripts[0] ?? "", { flags: ["--undo"] });
    assert.deepEqual(await host.tree(), before);
  });

  test("one that has died holds up nobody", async (t) => {
    const host = await FakeHost.create(t);
    await mkdir(host.path("var/lib/registry-cache-connect"), { recursive: true });
    // Larger than any process id.
    await host.link("var/lib/registry-cache-connect/lock", "99999999");
    const { exitCode } = await host.run(scriptOf("docker", cacheView()));
    assert.equal(exitCode, 0);
    assert.ok(!("var/lib/registry-cache-connect/lock" in (await host.tree())));
  });
});

describe("what is asked for", () => {
  test("settings that are printed, or compared, are not written", async (t) => {
    const host = await FakeHost.create(t, BEFORE);
    const before = await host.tree();
    for (const flags of [["--print"], ["--diff"], ["--help"]]) {
      const { exitCode, out } = await host.run(scriptOf("docker", cacheView()), { flags });
      assert.equal(exitCode, 0);
      assert.notEqual(out, "");
    }
    assert.deepEqual(await host.tree(), before);
  });

  for (const [flags, message] of [
    [["--nonsense"], /^error: unknown option --nonsense\n/],
    [["--variant"], /^error: --variant wants a name\nhint: one of: graph-drivers containerd-store references\n/],
    [["--variant", "x"], /^error: there is no variant x\n/],
    [["--undo"], /^error: there is nothing to undo for Docker Engine\n/],
  ] as const) {
    test(`${flags.join(" ")}: ${message.source}`, async (t) => {
      const host = await FakeHost.create(t);
      const { exitCode, err } = await host.run(scriptOf("docker", cacheView()), { flags });
      assert.equal(exitCode, 1);
      assert.match(err, message);
      assert.deepEqual(await host.tree(), {});
    });
  }

  test("a cache that asks for a name, and none is given", async (t) => {
    const host = await FakeHost.create(t);
    const { exitCode, err } = await host.run(scriptOf("containerd", VIEWS["client certificates"], {}));
    assert.equal(exitCode, 1);
    assert.match(err, /error: this cache lets nobody in without a name/);
    assert.match(
      err,
      /hint: set, in the environment .*, REGISTRY_CACHE_CLIENT_CERT and REGISTRY_CACHE_CLIENT_KEY \(or --cert and --key\)/,
    );
    assert.deepEqual(await host.tree(), {});
  });

  test("a user's own settings lie in the home folder", async (t) => {
    const host = await FakeHost.create(t);
    await mkdir(join(host.home, ".config/containers"), { recursive: true });
    const environment = { DESTDIR: "" };
    const before = await host.tree(host.home);
    const script = scriptOf("podman", cacheView());
    await host.run(script, { environment, flags: ["--user"] });
    assert.ok(".config/containers/registries.conf.d/50-registry-cache.conf" in (await host.tree(host.home)));
    await host.run(script, { environment, flags: ["--user", "--undo"] });
    assert.deepEqual(await host.tree(host.home), before);
  });
});
