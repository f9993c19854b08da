import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { findProgram } from "../../test/support/programs.ts";
import { tempDir } from "../../test/support/temp.ts";
import type { CacheView } from "../connect/view.ts";
import { doctorScript } from "./script.ts";

const VIEW: CacheView = {
  url: "http://127.0.0.1:9",
  isForAll: true,
  registries: [
    { id: "dockerhub", serves: "docker.io", hostnames: ["hub.cache.test"], passThrough: false },
    { id: "ghcr", serves: "ghcr.io", hostnames: [], passThrough: false },
  ],
  defaultServes: "docker.io",
  ways: ["anonymous"],
  ca: undefined,
};

/** The shells that hosts have as sh. */
const SHELLS = ["dash", "bash", "busybox"].flatMap((name) => findProgram(name) ?? []);

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(shell: string, script: string, flags: readonly string[] = [], env: Record<string, string> = {}): Ran {
  const sh = shell.endsWith("busybox") ? [shell, "sh"] : [shell];
  const [file = "", ...args] = [...sh, "-s", "--", ...flags];
  return spawnSync(file, args, { input: script, encoding: "utf8", env: { PATH: process.env["PATH"], ...env } });
}

/** Calls one of the script's functions, with what `main` sets before it. */
async function call(t: TestContext, lines: string): Promise<string> {
  const script = doctorScript(VIEW).replace(/\{ main "\$@"; \}\n$/, "");
  const setUp = `work='${await tempDir(t)}'; options; cause='' tls=plain remote=192.0.2.1\n: >"$work/curl"\n`;
  const { stdout, stderr, status } = run(SHELLS[0] ?? "sh", `${script}${setUp}${lines}\n`);
  assert.deepEqual([stderr, status], ["", 0]);
  return stdout;
}

describe("the script that looks into a host", () => {
  test(
    "shellcheck has nothing to say",
    { skip: findProgram("shellcheck") === undefined && "shellcheck is not installed" },
    () => {
      const { stdout, status } = spawnSync("shellcheck", ["--shell=sh", "-"], {
        input: doctorScript(VIEW),
        encoding: "utf8",
      });
      assert.deepEqual([stdout, status], ["", 0]);
    },
  );

  for (const shell of SHELLS) {
    test(`${shell} runs it`, () => {
      const { status, stdout, stderr } = run(shell, doctorScript(VIEW), ["docker"]);
      assert.deepEqual([status, stderr], [1, ""]);
      assert.match(
        stdout,
        /^The way to http:\/\/127\.0\.0\.1:9\n {2}problem {2}nothing listens there.*\n {11}fix: start the cache/,
      );
      assert.match(stdout, /\n\n1 problem, 0 warnings\n$/);
      const json = run(shell, doctorScript(VIEW), ["--json"]);
      const report = JSON.parse(json.stdout) as { problems: number; findings: { fix?: string }[] };
      assert.equal(report.problems, 1);
      assert.ok(report.findings[0]?.fix);
      assert.match(
        run(shell, doctorScript(VIEW), ["--help"]).stdout,
        /^Finds out whether this host pulls through the cache/,
      );
    });
  }

  test("cut off anywhere, it does nothing", () => {
    const whole = doctorScript(VIEW);
    const pieces = whole.split("\n");
    for (let count = 1; count < pieces.length - 1; count += 7) {
      const { stdout } = run("/bin/sh", `${pieces.slice(0, count).join("\n")}\n`);
      assert.equal(stdout, "", `after ${count} lines`);
    }
  });

  test("what it does not know it refuses", () => {
    for (const [flags, error] of [
      [["--nonsense"], "error: unknown option --nonsense"],
      [["toaster"], "error: no client toaster is known here"],
      [["--image"], "error: --image wants a value"],
      [["--image", "--privileged"], "error: --image wants the name of an image"],
      [["--image", "a b"], "error: --image wants the name of an image"],
      [["--image", "$(id)"], "error: --image wants the name of an image"],
    ] as const) {
      const { status, stderr } = run("/bin/sh", doctorScript(VIEW), flags);
      assert.equal(status, 2);
      assert.ok(stderr.startsWith(`${error}\nhint: `), stderr);
    }
  });

  test("secrets are in it only where they are given, and quoted", () => {
    assert.doesNotMatch(doctorScript(VIEW), /^REGISTRY_CACHE_\w+=/m);
    const script = doctorScript(VIEW, { user: "me", password: "it's; $(reboot)" });
    assert.match(script, /^REGISTRY_CACHE_PASSWORD='it'\\''s; \$\(reboot\)'$/m);
  });

  for (const [image, registry, repository, whole] of [
    ["alpine", "docker.io", "library/alpine", "docker.io/library/alpine:latest"],
    ["alpine:3", "docker.io", "library/alpine", "docker.io/library/alpine:3"],
    ["org/app", "docker.io", "org/app", "docker.io/org/app:latest"],
    ["docker.io/alpine", "docker.io", "library/alpine", "docker.io/library/alpine:latest"],
    ["ghcr.io/a/b/c:1", "ghcr.io", "a/b/c", "ghcr.io/a/b/c:1"],
    ["corp.example:5000/a@sha256:00", "corp.example:5000", "a", "corp.example:5000/a@sha256:00"],
    ["localhost/a:1", "localhost", "a", "localhost/a:1"],
  ] as const) {
    test(`${image} is ${whole}`, async (t) => {
      const said = await call(t, `options --image '${image}'; printf '%s\\n' "$registry" "$repository" "$image"`);
      assert.deepEqual(said.split("\n"), [registry, repository, whole, ""]);
    });
  }

  test("addresses that mean the cache", async (t) => {
    const places = [
      "http://127.0.0.1:9/t/TOKEN",
      "http://localhost:9",
      "hub.cache.test:9",
      "https://hub.cache.test",
      "http://127.0.0.1:99",
      "mirror.test",
    ];
    const said = await call(
      t,
      places.map((place) => `if is_cache '${place}'; then echo yes; else echo no; fi`).join("\n"),
    );
    assert.deepEqual(said.trim().split("\n"), ["yes", "yes", "yes", "no", "no", "no"]);
  });

  test("what goes past a proxy", async (t) => {
    const cases = [
      ["cache.test", "cache.test"],
      ["a.cache.test", ".cache.test"],
      ["a.cache.test", "other,*.cache.test"],
      ["cache.test", "*"],
      ["127.0.0.1", ""],
      ["cache.test", "other.test"],
      ["mycache.test", "cache.test"],
      ["cache.test", ""],
    ];
    const said = await call(
      t,
      cases.map(([host, list]) => `if passes_proxy_by '${host}' '${list}'; then echo yes; else echo no; fi`).join("\n"),
    );
    assert.deepEqual(said.trim().split("\n"), ["yes", "yes", "yes", "yes", "yes", "no", "no", "no"]);
  });

  test("a file of Podman's settings: which mirrors a registry has", async (t) => {
    const folder = await tempDir(t);
    const file = join(folder, "registries.conf");
    await writeFile(
      file,
      `unqualified-search-registries = ["docker.io"]
# [[registry]]
[[registry]]
prefix = "docker.io"
location = 'docker.io'
insecure = true
[[registry.mirror]]
location = "first.test/docker.io" # the first
[[registry.mirror]]
location = "127.0.0.1:9/docker.io"
insecure = true
[[registry]]
location = "ghcr.io"
[[registry.mirror]]
location = "127.0.0.1:9/ghcr.io"
[[registry]]
prefix = "quay.io"
location = "127.0.0.1:9/quay.io"
`,
    );
    const said = await call(t, `for registry in docker.io ghcr.io quay.io gcr.io; do mirrors_in '${file}'; done`);
    assert.deepEqual(said.trim().split("\n"), [
      `${file}\tfirst.test/docker.io 127.0.0.1:9/docker.io=insecure`,
      `${file}\t127.0.0.1:9/ghcr.io`,
      `${file}\t127.0.0.1:9/quay.io`,
    ]);
  });

  for (const [title, text, expected] of [
    [
      "the cache alone",
      '[host."http://127.0.0.1:9"]\n  capabilities = ["pull", "resolve"]\n',
      /^ {2}ok {7}\S+hosts\.toml leads to the cache\n$/,
    ],
    ["as the server", 'server = "http://127.0.0.1:9"\n', /^ {2}ok/],
    ["another one", '[host."http://other.test"]\n', /problem {2}\S+hosts\.toml does not name the cache\n/],
    [
      "another one before it",
      '[host."http://other.test"]\n[host."http://127.0.0.1:9"]\n',
      /ok .*\n {2}warning {2}another mirror is asked before the cache: http:\/\/other\.test\n/,
    ],
    [
      "an unknown capability",
      `[host.'http://127.0.0.1:9']\n  capabilities = ['pull',\n 'dance']\n`,
      /problem {2}containerd drops all of .* the capability "dance"\n/,
    ],
    [
      "an authority that is not there",
      '[host."http://127.0.0.1:9"]\n  ca = "/nonexistent/ca.crt"\n',
      /problem .* names the authority \/nonexistent\/ca\.crt, which is not there\n/,
    ],
  ] as const) {
    test(`hosts.toml with ${title}`, async (t) => {
      const folder = await tempDir(t);
      await mkdir(join(folder, "_default"));
      await writeFile(join(folder, "_default/hosts.toml"), text);
      assert.match(
        await call(t, `area x >/dev/null; found=0; setup=containerd; hosts_toml '${folder}' containerd`),
        expected,
      );
    });
  }

  test("a list in daemon.json, whatever stands around it", async (t) => {
    const file = join(await tempDir(t), "daemon.json");
    await writeFile(
      file,
      '{\n  "debug": true,\n  "registry-mirrors": [\n    "http://a.test",\n    "http://127.0.0.1:9"\n  ],\n  "dns": ["x"] }',
    );
    assert.equal(
      await call(
        t,
        `list_in_json '${file}' registry-mirrors; first_cache "$(list_in_json '${file}' registry-mirrors)"`,
      ),
      "http://a.test\nhttp://127.0.0.1:9\nhttp://127.0.0.1:9\n",
    );
    assert.equal(await call(t, `list_in_json '${file}' insecure-registries; list_in_json '${file}.none' x`), "");
  });

  test("whether a file is newer than the program that reads it", async (t) => {
    const file = join(await tempDir(t), "config.toml");
    await writeFile(file, "");
    const script = (minutes: number) => `pidof() { echo $$; }
      touch -d '${minutes} minutes' '${file}'
      if changed_since_start '${file}' this; then echo newer; else echo older; fi`;
    assert.equal(await call(t, script(-60)), "older\n");
    assert.equal(await call(t, script(60)), "newer\n");
    assert.equal(
      await call(t, `if changed_since_start '${file}' no-such-program; then echo newer; else echo older; fi`),
      "older\n",
    );
    assert.equal(
      await call(t, `if changed_since_start '${file}.none' sh; then echo newer; else echo older; fi`),
      "older\n",
    );
  });

  test("what others have said is one line that a terminal may be shown, and JSON is whole", async (t) => {
    const said = await call(t, `area x >/dev/null; say problem "$(printf 'a\\033[31mb\\nc\\302\\233 "d" \\\\e')" 'f'`);
    assert.equal(said, '  problem  a[31mb c "d" \\e\n           fix: f\n');
    const json = await call(t, `options --json; area 'a "b"'; say ok "$(printf '\\033"x"\\\\')"; cat "$work/json"`);
    assert.deepEqual(JSON.parse(json), { area: 'a "b"', level: "ok", message: '"x"\\' });
  });

  test("lines are wrapped at a terminal's width alone", async (t) => {
    const words = Array.from({ length: 20 }, (_, n) => `word${n}`).join(" ");
    const lines = (await call(t, `width=60; area x >/dev/null; say ok '${words}'`)).trimEnd().split("\n");
    assert.ok(lines.length > 2);
    for (const line of lines) assert.ok(line.length < 60);
    for (const line of lines.slice(1)) assert.match(line, /^ {11}word/);
    assert.equal((await call(t, `area x >/dev/null; say ok '${words}'`)).split("\n").length, 2);
  });
});
