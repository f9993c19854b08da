import assert from "node:assert/strict";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { startFakeUpstream } from "../../test/support/fake-upstream.ts";
import { type Script, scriptedAsker } from "../../test/support/scripted-asker.ts";
import { tempDir } from "../../test/support/temp.ts";
import { run } from "./program.ts";

const CONFIG = "registry-cache.yaml";

interface Typing {
  /** On standard input. */
  readonly typed?: string;
  readonly environment?: NodeJS.ProcessEnv;
  /** What is answered where there is a terminal; undefined: there is none. */
  readonly script?: Script;
}

async function folderOf(t: TestContext, files: Readonly<Record<string, string>> = {}) {
  const cwd = await tempDir(t);
  for (const [name, text] of Object.entries(files)) await writeFile(join(cwd, name), text, { mode: 0o600 });
  const type = async (line: string, { typed = "", environment = {}, script }: Typing = {}) => {
    const text = { out: "", err: "" };
    const isTerminal = script !== undefined;
    const to = (stream: "out" | "err") => ({
      write: (piece: string) => void (text[stream] += piece),
      isTerminal,
      hasColors: false,
    });
    const asker = scriptedAsker(script);
    const input = {
      isTerminal,
      readAll: async () => typed,
      askSecret: async () => "",
      confirm: async () => true,
      asker: async () => asker,
    };
    const exitCode = await run(line.split(" "), { environment, cwd, input, out: to("out"), err: to("err") });
    return { exitCode, ...text, heard: asker.heard };
  };
  return {
    cwd,
    type,
    text: async (name: string) => await readFile(join(cwd, name), "utf8"),
    path: (name: string) => join(cwd, name),
  };
}

const HAND_WRITTEN = "# ours\nlisten: 127.0.0.1:5001 # free\nworkers: 2\n";

describe("config without questions", () => {
  test("writes a new file at once, and the same options once more change nothing", async (t) => {
    const { cwd, type } = await folderOf(t);
    const flags =
      "config --non-interactive --registries dockerhub,ghcr --hostname-all cache.example.com --listen 0.0.0.0:5000 --tls own";
    const first = await type(`${flags} --network 10.0.0.0/8`);
    assert.deepEqual([first.exitCode, first.err], [0, ""]);
    assert.match(first.out, /^ {2}url: https:\/\/cache\.example\.com:5000$/m);
    assert.match(first.out, /^made beside it:\n {2}certificates\/ca-key\.pem$/m);
    assert.match(first.out, /^wrote certificates\/ca-key\.pem$[^]*^wrote registry-cache\.yaml$/m);
    assert.deepEqual((await readdir(cwd)).toSorted(), ["certificates", CONFIG]);
    const again = await type(`${flags} --network 10.0.0.0/8`);
    assert.deepEqual([again.exitCode, again.out], [0, "registry-cache.yaml says all of that already\n"]);
    assert.equal((await type("check")).exitCode, 0);
  });

  test("what is there is shown as it would become, and changed with --yes alone", async (t) => {
    const { type, text } = await folderOf(t, { [CONFIG]: HAND_WRITTEN });
    const refused = await type("config --non-interactive --listen 127.0.0.1:5002");
    assert.equal(refused.exitCode, 1);
    assert.match(refused.out, /^ {2}- listen: 127\.0\.0\.1:5001 # free\n {2}\+ listen: 127\.0\.0\.1:5002 # free$/m);
    const error = "error: registry-cache.yaml is there already, and would become another; nothing was written\n";
    assert.equal(refused.err, `${error}hint: --yes changes it, --dry-run prints all of it\n`);
    assert.equal(await text(CONFIG), HAND_WRITTEN);
    const files = await type("config --non-interactive --tls own");
    assert.equal(files.exitCode, 1);
    assert.match(files.out, /^would be made beside it:\n {2}certificates\/ca-key\.pem$/m);
    assert.equal((await type("config --non-interactive --listen 127.0.0.1:5002 --yes")).exitCode, 0);
    assert.equal(await text(CONFIG), HAND_WRITTEN.replace("5001", "5002"));
  });

  test("neither is a certificate replaced unasked, nor a user's password", async (t) => {
    const { type } = await folderOf(t);
    const first = "config --non-interactive --tls own --basic-user ann --password-stdin";
    assert.equal((await type(first, { typed: "correct horse" })).exitCode, 0);
    const other = await type("config --non-interactive --tls own --certificate-name b.example.com");
    assert.equal(other.exitCode, 1);
    assert.match(other.err, /^error: certificates\/cache\.pem is there already, and would become another; /);
    assert.match(other.out, /^would be changed beside it:\n {2}certificates\/cache\.pem$/m);
    const password = await type("config --non-interactive --basic-user ann --password-stdin", {
      typed: "battery staple",
    });
    assert.match(password.err, /^error: users\.htpasswd is there already, and would become another; /);
  });

  test("what counts above it, and what strangers could do, is a warning", async (t) => {
    const { type } = await folderOf(t, { ".env": "REGISTRY_CACHE_DATA_DIR=/srv/data\n" });
    const environment = { REGISTRY_CACHE_LISTEN: "0.0.0.0:5001" };
    const { exitCode, err } = await type("config --non-interactive --listen 0.0.0.0:5000", { environment });
    assert.equal(exitCode, 0);
    assert.deepEqual(err.split("\n"), [
      "warning: REGISTRY_CACHE_LISTEN is set in the environment, and counts above `listen` in the file",
      "warning: REGISTRY_CACHE_DATA_DIR is set in .env, and counts above `data_dir` in the file",
      "warning: no password and no TLS: everybody who reaches this address can pull",
      "",
    ]);
  });

  test("--dry-run prints the file, --json what became of it; neither has a secret in it", async (t) => {
    const { cwd, type, path } = await folderOf(t);
    const dry = await type("config --non-interactive --data-dir /srv/data --dry-run");
    assert.deepEqual([dry.exitCode, await readdir(cwd)], [0, []]);
    assert.match(dry.out, /^# Registry Cache\. [^]*^data_dir: \/srv\/data$/m);
    const flags = "--basic-user ann --username quay=me --password-stdin --no-test --json";
    const told = await type(`config --non-interactive ${flags}`, { typed: "correct horse\nbattery staple\n" });
    assert.equal(told.exitCode, 0);
    assert.deepEqual(JSON.parse(told.out), {
      file: path(CONFIG),
      isWritten: true,
      changed: [path("users.htpasswd"), path(".env"), path(CONFIG)],
      warnings: [],
    });
    assert.doesNotMatch(told.out + told.err, /correct|battery/);
  });

  test("passwords go to .env, from standard input in their order, or from the environment", async (t) => {
    const { type, text, path } = await folderOf(t);
    const typed = "correct horse\nfirst\nsecond";
    const names = "--username quay=me --username ghcr=you";
    const all = await type(`config --non-interactive --basic-user ann ${names} --password-stdin --no-test`, { typed });
    assert.equal(all.exitCode, 0);
    assert.match(await text(".env"), /^REGISTRY_CACHE_GHCR_PASSWORD=second\nREGISTRY_CACHE_QUAY_PASSWORD=first$/m);
    assert.equal((await stat(path(".env"))).mode & 0o777, 0o600);
    const environment = { REGISTRY_CACHE_QUAY_PASSWORD: "third" };
    const other = await type("config --non-interactive --username quay=me --no-test --yes", { environment });
    assert.deepEqual([other.exitCode, other.err], [0, ""]);
    assert.match(await text(".env"), /^REGISTRY_CACHE_QUAY_PASSWORD=third$/m);
  });

  for (const [title, line, typed, error] of [
    ["no password", "--username quay=me", "", "error: there is no password for quay\nhint: --password-stdin reads it"],
    ["too many", "--username quay=me --password-stdin", "a\nb\n", "error: there are more passwords on standard input"],
    ["no user's", "--basic-user ann", "", "error: there is no password for the user\nhint: --password-stdin reads it"],
    ["a short one", "--basic-user ann --password-stdin", "short", "error: a password needs 8 characters at least\n"],
    [
      "a wrong name",
      "--registries nowhere",
      "",
      'error: there is no registry "nowhere"\nhint: the registries here are ',
    ],
    [
      "no files",
      "--tls files --cert a.pem --key b.pem",
      "",
      "nothing was written, since the cache would refuse registry-cache.yaml:\nerror: registry-cache.yaml:10: tls.cert: ",
    ],
    [
      "strangers",
      "--listen 0.0.0.0:5000 --username quay=me --password-stdin --no-test",
      "x",
      "nothing was written, since the cache would refuse registry-cache.yaml:\nerror: registry-cache.yaml:5: access: ",
    ],
  ] as const) {
    test(`${title}: exit code 2, and nothing is written`, async (t) => {
      const { cwd, type } = await folderOf(t);
      const { exitCode, out, err } = await type(`config --non-interactive ${line}`, { typed });
      assert.deepEqual([exitCode, out, await readdir(cwd)], [2, "", []]);
      assert.ok(err.startsWith(error), err);
    });
  }

  test("a password that the registry refuses is not written, unless that is wanted", async (t) => {
    const fake = await startFakeUpstream({ auth: "bearer", users: { me: "correct horse" } });
    t.after(() => fake.stop());
    const registry = `upstream: "${fake.url}", serves: "registry.corp.example", allow_private_addresses: true`;
    const { type, cwd } = await folderOf(t, { [CONFIG]: `registries: { corp: { ${registry} } }\n` });
    const line = "config --non-interactive --username corp=me --password-stdin --yes";
    const wrong = await type(line, { typed: "battery staple" });
    const said = "registry.corp.example refuses user or password; nothing was written";
    assert.deepEqual([wrong.exitCode, wrong.err], [1, `error: ${said}\nhint: --no-test writes it all the same\n`]);
    assert.deepEqual(await readdir(cwd), [CONFIG]);
    const right = await type(line, { typed: "correct horse" });
    assert.deepEqual([right.exitCode, right.err], [0, "registry.corp.example takes user and password\n"]);
    assert.equal((await type(`${line} --no-test`, { typed: "battery staple" })).exitCode, 0);
    await fake.stop();
    const away = await type(line, { typed: "correct horse" });
    assert.equal(away.exitCode, 0);
    assert.match(away.err, /^warning: registry\.corp\.example cannot be reached \(ECONNREFUSED\)\n$/);
  });

  test("a file that cannot be loaded is told with its line, and one that cannot be changed is left alone", async (t) => {
    const broken = await folderOf(t, { [CONFIG]: "listen: 127.0.0.1:5000\nlisen: x\n" });
    const { exitCode, err } = await broken.type("config --non-interactive --data-dir /x");
    assert.deepEqual(
      [exitCode, err],
      [2, 'error: registry-cache.yaml:2: lisen: unknown key\nhint: did you mean "listen"?\n'],
    );
    const yaml = "registries: { quay: &one { enabled: false }, ghcr: *one }\n";
    const anchored = await folderOf(t, { [CONFIG]: yaml });
    const refused = await anchored.type("config --non-interactive --registries dockerhub,quay --yes");
    assert.equal(refused.exitCode, 1);
    assert.match(refused.err, /^error: nothing was written: .*\nhint: change it by hand, or make another one/);
    assert.equal(await anchored.text(CONFIG), yaml);
  });
});

describe("config with questions", () => {
  test("needs a terminal, and goes with no option that answers one", async (t) => {
    const { type } = await folderOf(t);
    const none = await type("config");
    assert.equal(none.exitCode, 2);
    assert.match(none.err, /^error: there is no terminal to ask questions on\nhint: use --non-interactive; /);
    const both = await type("config --listen 127.0.0.1:5001 --tls off", { script: [] });
    const hint = "hint: write --non-interactive beside it, or leave them out to be asked\n";
    assert.deepEqual([both.exitCode, both.err], [2, `error: --listen, --tls: of use without questions alone\n${hint}`]);
  });

  test("shows what is to be written and asks; who says no has nothing written", async (t) => {
    const { type, text } = await folderOf(t, { [CONFIG]: HAND_WRITTEN });
    const script: Script = [[/In which folder/, "/srv/data"]];
    const no = await type("config", { script: [...script, [/Write it/, false]] });
    assert.deepEqual([no.exitCode, no.err], [130, "error: given up; nothing was changed\n"]);
    assert.ok(no.heard.some((line) => line.startsWith("What is written:\n") && line.includes("+ data_dir: /srv/data")));
    assert.equal(await text(CONFIG), HAND_WRITTEN);
    assert.equal((await type("config", { script })).exitCode, 0);
    assert.ok((await text(CONFIG)).startsWith(HAND_WRITTEN));
    const same = await type("config", { script: [] });
    assert.ok(same.heard.includes("done: Nothing changes.") && !same.heard.includes("Write it?"));
  });

  test("what the cache would refuse is shown, and can be answered anew from there", async (t) => {
    const yaml = "registries: { ghcr: { hostnames: [ghcr.example.com], private_content: pass_through } }\n";
    const { type, text } = await folderOf(t, { [CONFIG]: yaml });
    const refused: Script = [
      [/In which folder/, "/srv/data"],
      [/Who may pull/, "some"],
      [/By what/, ["basic"]],
    ];
    const no = await type("config", { script: refused });
    assert.deepEqual([no.exitCode, no.err], [2, "error: nothing was written, since the cache would refuse it\n"]);
    assert.ok(no.heard.some((line) => /^The cache would refuse that:\nerror: .*private_content/.test(line)));
    assert.equal(await text(CONFIG), yaml);
    const script: Script = [...refused, [/once more/, true], [/Who may pull/, "all"]];
    assert.equal((await type("config", { script })).exitCode, 0);
    assert.match(await text(CONFIG), /^data_dir: \/srv\/data$/m);
  });

  test("says what to type next, by the name of a file that is not found by itself", async (t) => {
    const { type } = await folderOf(t);
    const { heard } = await type("config --config mine.yaml", {
      script: [
        [/Who is to reach/, "all"],
        [/By what/, ["basic", "mtls"]],
      ],
    });
    const next = heard.find((line) => line.startsWith("What comes next:\n")) ?? "";
    assert.match(next, /registry-cache serve --config mine\.yaml$/m);
    assert.match(next, /^set a client up .*registry-cache connect docker --config mine\.yaml$/m);
    assert.match(next, /^the Docker here .*registry-cache connect docker --config mine\.yaml --apply$/m);
    // It installs another file.
    assert.doesNotMatch(next, /make install/);
    assert.match(next, /^add a user .*registry-cache user add NAME --config mine\.yaml$/m);
    assert.match(next, /^more certificates .*registry-cache certificate client NAME$/m);
  });

  test("--dry-run asks, and prints instead of writing", async (t) => {
    const { cwd, type } = await folderOf(t);
    const { exitCode, out } = await type("config --dry-run", { script: [[/which port/, "5005"]] });
    assert.equal(exitCode, 0);
    assert.match(out, /^listen: 127\.0\.0\.1:5005$/m);
    assert.deepEqual(await readdir(cwd), []);
  });
});

describe("certificate", () => {
  test("makes an authority, the server's and clients' certificates, and overwrites no key unasked", async (t) => {
    const { type, text } = await folderOf(t);
    const made = await type("certificate init --name cache.example.com --name 192.0.2.7");
    const files = ["ca.pem", "ca-key.pem", "cache.pem", "cache-key.pem"];
    assert.deepEqual([made.exitCode, made.out], [0, files.map((file) => `wrote certificates/${file}\n`).join("")]);
    const key = await text("certificates/ca-key.pem");
    const again = await type("certificate init --name cache.example.com");
    assert.equal(again.exitCode, 1);
    assert.match(again.err, /cache-key\.pem is there already\nhint: --force overwrites it; .*certificate server/);
    assert.equal(await text("certificates/ca-key.pem"), key);
    assert.deepEqual((await type("certificate server --json")).out, '["certificates/cache.pem"]\n');
    const client = await type("certificate client ci-runner");
    assert.equal(client.out, "wrote certificates/ci-runner.pem\nwrote certificates/ci-runner-key.pem\n");
    assert.match((await type("certificate client ci-runner")).err, /is there already\nhint: --force overwrites it\n$/);
    assert.equal((await type("certificate client ci-runner --force")).exitCode, 0);
  });

  for (const [line, exitCode, error] of [
    [
      "certificate init",
      2,
      "error: whom is the server's certificate for?\nhint: registry-cache certificate init --name",
    ],
    ["certificate init --name a:5000", 2, 'error: "a:5000" is neither a host name nor an address\n'],
    ["certificate server", 2, "error: there is none yet: whom is the server's certificate for?\n"],
    [
      "certificate server --name a.example.com",
      1,
      /^error: there is no authority in \S+\nhint: registry-cache certificate init /,
    ],
    ["certificate client ca", 2, 'error: "ca" cannot be a client\'s name\n'],
    ["certificate client", 2, "error: missing required argument 'name'\nhint: see registry-cache certificate --help\n"],
  ] as const) {
    test(`${line}: exit code ${exitCode}`, async (t) => {
      const { cwd, type } = await folderOf(t);
      const outcome = await type(line);
      assert.deepEqual([outcome.exitCode, outcome.out, await readdir(cwd)], [exitCode, "", []]);
      if (typeof error === "string") assert.ok(outcome.err.startsWith(error), outcome.err);
      else assert.match(outcome.err, error);
    });
  }
});
