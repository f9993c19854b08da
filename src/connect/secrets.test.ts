import assert from "node:assert/strict";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { cacheView, VIEWS } from "../../test/support/cache-views.ts";
import { FakeHost, SHELLS } from "../../test/support/fake-host.ts";
import { findProgram } from "../../test/support/programs.ts";
import { prove } from "../../test/support/property.ts";
import { BY_DEFAULT } from "./client.ts";
import { clientNamed } from "./clients.ts";
import { type KnownSecrets, setupScript } from "./script.ts";
import type { CacheView } from "./view.ts";

/** Each has another form of file for a secret. */
const KEEPING = ["docker", "containerd", "podman", "k3s", "talos", "kaniko", "minikube"];
const PRINTABLE = Array.from({ length: 95 }, (_, at) => String.fromCharCode(32 + at)).join("");
const SECRETS = {
  user: "user-of-the-cache",
  password: "password-1-of-the-cache",
  pathToken: "token-of-the-path-0123456789",
  clientCert: "-----BEGIN CERTIFICATE-----\nY2VydA==\n-----END CERTIFICATE-----\n",
  clientKey: "-----BEGIN PRIVATE KEY-----\nS0VZT0ZUSEVDTElFTlQ=\n-----END PRIVATE KEY-----\n",
} as const satisfies KnownSecrets;
const EVERY_WAY: CacheView = cacheView({ ways: ["basic", "mtls", "path"] });

/** What shells, awk, and placeholders of ours would take for something else. */
const STRANGE = ["@basic@", "\\n%s$(id)`id`", "ü-\u{1F511}", "' \" \\", "&&", "-n", " blanks "];

/** As they are, and as settings have them. */
const SEEN = [
  SECRETS.password,
  SECRETS.pathToken,
  "S0VZT0ZUSEVDTElFTlQ=",
  Buffer.from(`${SECRETS.user}:${SECRETS.password}`).toString("base64"),
  Buffer.from(SECRETS.clientKey).toString("base64"),
];

function scriptOf(name: string, view: CacheView, secrets: KnownSecrets = {}): string {
  const client = clientNamed(name);
  assert.ok(client);
  return setupScript(client, view, BY_DEFAULT, secrets);
}

async function environmentOf(host: FakeHost): Promise<Record<string, string>> {
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(join(host.home, "..", name), text, { mode: 0o600 });
    return join(host.home, "..", name);
  };
  return {
    REGISTRY_CACHE_USER: SECRETS.user,
    REGISTRY_CACHE_PASSWORD_FILE: await file("password", `${SECRETS.password}\n`),
    REGISTRY_CACHE_PATH_TOKEN_FILE: await file("token", SECRETS.pathToken),
    REGISTRY_CACHE_CLIENT_CERT: await file("cert", SECRETS.clientCert),
    REGISTRY_CACHE_CLIENT_KEY: await file("key", SECRETS.clientKey),
  };
}

const LOGGED =
  "awk base64 cat chmod cksum cmp cp cut diff dirname echo grep head id ln ls mkdir mktemp mv od printf readlink rm rmdir sed sort tail test touch tr".split(
    " ",
  );

/** Programs that write down with what they were called. */
async function loggingTools(host: FakeHost): Promise<{ readonly PATH: string; readonly log: string }> {
  const folder = join(host.tmp, "..", "logging");
  const log = join(folder, "log.txt");
  await mkdir(folder);
  await writeFile(log, "");
  for (const name of LOGGED) {
    const program = findProgram(name);
    if (program === undefined) continue;
    await writeFile(join(folder, name), `#!/bin/sh\nprintf '%s\\n' "${name} $*" >>'${log}'\nexec ${program} "$@"\n`);
    await chmod(join(folder, name), 0o755);
  }
  return { PATH: `${folder}:${process.env["PATH"] ?? ""}`, log };
}

describe("secrets", () => {
  for (const shell of SHELLS) {
    test(`${shell.join(" ")}: are on no command line, in no message, and in no file that others can read`, async (t) => {
      for (const name of shell[0] === "dash" ? KEEPING : ["docker"]) {
        const host = await FakeHost.create(t);
        const { PATH, log } = await loggingTools(host);
        const environment = { ...(await environmentOf(host)), PATH };
        const script = scriptOf(name, EVERY_WAY);
        const said = [];
        for (const flags of [["--diff"], [], [], ["--undo"]]) {
          const { exitCode, out, err } = await host.run(script, { shell, environment, flags });
          said.push(out, err);
          if (flags.length > 0) continue;
          assert.equal(exitCode, 0, err);
          const all = { ...(await host.tree()), ...(await host.tree(host.home)) };
          const open = Object.entries(all).filter(([, text]) => /^100\d[4-7]|^100\d\d[4-7]/.test(text));
          assertNone(open.map(([, text]) => Buffer.from(text.split(" ").at(-1) ?? "", "base64").toString()).join("\n"));
        }
        assertNone(said.join("\n"));
        const calls = await readFile(log, "utf8");
        // Its own programs are a part of it.
        assert.ok(shell[0] === "busybox" || calls.includes("awk"));
        assertNone(calls);
      }
    });

    test(`${shell.join(" ")}: of all printable characters arrive as they are`, async (t) => {
      const host = await FakeHost.create(t);
      for (const password of shell[0] === "dash" ? [PRINTABLE, ...STRANGE] : [PRINTABLE, "-n"]) {
        const expected = `Basic ${Buffer.from(`me:${password}`).toString("base64")}"`;
        const view = VIEWS["passwords"];
        const environment = { REGISTRY_CACHE_USER: "me", REGISTRY_CACHE_PASSWORD: password };
        for (const call of [
          { script: scriptOf("nerdctl", view), environment },
          { script: scriptOf("nerdctl", view, { user: "me", password }), environment: {} },
        ]) {
          const { exitCode, err } = await host.run(call.script, { shell, environment: call.environment });
          assert.equal(exitCode, 0, err);
          assert.ok((await host.read("etc/containerd/certs.d/_default/hosts.toml")).includes(expected), password);
        }
      }
    });
  }

  test("any password of a server's script arrives", async (t) => {
    const host = await FakeHost.create(t);
    await prove(
      fc.asyncProperty(fc.string({ minLength: 1, maxLength: 20, unit: "grapheme" }), async (password) => {
        fc.pre(!/[\0\r\n]/.test(password) && password.isWellFormed());
        const script = scriptOf("nerdctl", VIEWS["passwords"], { user: "me", password });
        const { exitCode, err } = await host.run(script);
        assert.equal(exitCode, 0, err);
        const text = await host.read("etc/containerd/certs.d/_default/hosts.toml");
        assert.ok(text.includes(`Basic ${Buffer.from(`me:${password}`).toString("base64")}"`));
      }),
      6,
    );
  });

  for (const [title, environment, message] of [
    ["a user without a password", { REGISTRY_CACHE_USER: "me" }, /there is no password for me/],
    ["a user with a colon", { REGISTRY_CACHE_USER: "a:b", REGISTRY_CACHE_PASSWORD: "x" }, /has no colon in it/],
    [
      "a password file that is not there",
      { REGISTRY_CACHE_PASSWORD_FILE: "/nowhere/x" },
      /\/nowhere\/x cannot be read/,
    ],
    ["a token that is none", { REGISTRY_CACHE_PATH_TOKEN: "a/b" }, /characters that do not belong into one/],
    [
      "a certificate without its key",
      { REGISTRY_CACHE_CLIENT_CERT_PEM: SECRETS.clientCert },
      /a client certificate is of no use without its key/,
    ],
    ["a key without its certificate", { REGISTRY_CACHE_CLIENT_KEY_PEM: SECRETS.clientKey }, /there is no certificate/],
  ] as const) {
    test(`${title}: is an error`, async (t) => {
      const host = await FakeHost.create(t);
      const { exitCode, err } = await host.run(scriptOf("nerdctl", EVERY_WAY), { environment });
      assert.equal(exitCode, 1);
      assert.match(err, message);
      assert.deepEqual(await host.tree(), {});
    });
  }

  test("a password that Docker's mirror would not get is said to be of no use, and what is", async (t) => {
    const host = await FakeHost.create(t);
    const script = scriptOf("docker", cacheView({ ways: ["basic", "mtls"] }), { user: "me", password: "p" });
    const { exitCode, err } = await host.run(script, { flags: ["--variant", "graph-drivers"] });
    assert.equal(exitCode, 1);
    assert.match(err, /^error: passwords are what this client cannot send .*moby issue 30880/);
    assert.match(err, /--cert and --key\); or pull by the cache's name \(--variant references\)$/m);
  });

  test("a client certificate that Docker does not look at, at a loopback address, is warned of", async (t) => {
    const host = await FakeHost.create(t);
    const flags = ["--diff", "--variant", "graph-drivers"];
    const errOf = async (url: string) =>
      (await host.run(scriptOf("docker", cacheView({ url, ways: ["mtls"] }), SECRETS), { flags })).err;
    assert.match(await errOf("https://127.0.0.1:5000"), /^warning: Docker shows no client certificate to loopback/);
    assert.equal(await errOf("https://cache.example.com"), "");
  });

  test("another key is said to be one, and nothing of it or of a certificate is shown", async (t) => {
    const host = await FakeHost.create(t);
    const lines = Array.from({ length: 12 }, (_, at) => Buffer.from(`line ${at} of a key`).toString("base64"));
    const keyWith = (last: string) =>
      `-----BEGIN PRIVATE KEY-----\n${[...lines, last].join("\n")}\n-----END PRIVATE KEY-----\n`;
    const call = async (last: string) =>
      await host.run(scriptOf("nerdctl", VIEWS["client certificates"], { ...SECRETS, clientKey: keyWith(last) }));
    const first = await call("Zmlyc3Q=");
    assert.match(first.out, /client\.key: new key$/m);
    assert.match(first.out, /client\.cert: new certificate$/m);
    assert.match(first.out, /^\d files change:\n(?: {2}\S.*\n)+/m);
    // The line that says what it is stands far above what differs.
    const second = await call("c2Vjb25k");
    assert.match(second.out, /client\.key: another key\n1 file changes:\n {2}\S.*client\.key$/m);
    for (const { out } of [first, second]) {
      for (const line of [...lines, "Zmlyc3Q=", "c2Vjb25k", "Y2VydA=="]) assert.ok(!out.includes(line), out);
    }
  });

  test("a certificate and its key are the same bytes, however they came", async (t) => {
    const host = await FakeHost.create(t);
    const view = VIEWS["client certificates"];
    const { exitCode, err } = await host.run(scriptOf("nerdctl", view), { environment: await environmentOf(host) });
    assert.equal(exitCode, 0, err);
    const folder = "etc/containerd/certs.d/_registry-cache";
    assert.equal(await host.read(`${folder}/client.cert`), SECRETS.clientCert);
    assert.equal(await host.read(`${folder}/client.key`), SECRETS.clientKey);
    const { out } = await host.run(scriptOf("nerdctl", view, SECRETS));
    assert.match(out, /^nothing to do: /);
  });

  test("of others are not shown in a difference either", async (t) => {
    const host = await FakeHost.create(t, {
      "etc/docker/daemon.json":
        '{\n  "http-proxy": "http://me:proxy-secret@proxy:3128",\n  "x-token": "other-secret"\n}\n',
      "etc/rancher/k3s/registries.yaml":
        "configs:\n  x:\n    auth:\n      password: third-secret\n      auth: Zm91cnRo\n",
      "etc/containerd/certs.d/_default/hosts.toml": 'Authorization = "Basic ZmlmdGg="\n',
    });
    const said = [];
    for (const name of ["docker", "k3s", "nerdctl"]) {
      said.push((await host.run(scriptOf(name, cacheView()), { flags: ["--diff", "--replace"] })).out);
    }
    assert.equal(said.filter((text) => text.includes("********")).length, 3, said.join("\n"));
    assert.doesNotMatch(said.join("\n"), /proxy-secret|other-secret|third-secret|Zm91cnRo|ZmlmdGg=/);
  });
});

function assertNone(text: string): void {
  for (const secret of SEEN) assert.ok(!text.includes(secret), `${secret} in ${text}`);
}
