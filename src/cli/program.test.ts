import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { MAIN, type Outcome, runCommand } from "../../test/support/command.ts";
import { tempDir } from "../../test/support/temp.ts";
import { packageVersion } from "../lib/version.ts";
import { run } from "./program.ts";

/** As `runCommand`, but in this process, which is sooner done. */
async function runHere(
  args: readonly string[],
  cwd: string,
  environment: NodeJS.ProcessEnv = {},
  typed = "",
): Promise<Outcome> {
  const text = { out: "", err: "" };
  const outputTo = (stream: "out" | "err") => ({
    write: (piece: string) => void (text[stream] += piece),
    isTerminal: false,
    hasColors: false,
  });
  const nobody = async () => await Promise.reject(new Error("there is nobody to ask"));
  const answers = { readAll: async () => typed, askSecret: async () => "", confirm: async () => true, asker: nobody };
  const input = { isTerminal: false, ...answers };
  const exitCode = await run(args, { environment, cwd, input, out: outputTo("out"), err: outputTo("err") });
  return { exitCode, ...text };
}

for (const [args, error, hint] of [
  [["chek"], "unknown command 'chek'", "did you mean check?"],
  [["frobnicate"], "unknown command 'frobnicate'", "see registry-cache --help"],
  [["start"], "unknown command 'start'", "did you mean registry-cache serve?"],
  [["init"], "unknown command 'init'", "did you mean registry-cache config?"],
  [
    ["serve", "--port", "80"],
    "unknown option '--port'",
    "set `listen` in the configuration or REGISTRY_CACHE_LISTEN, such as 127.0.0.1:5001",
  ],
  [
    ["--data-dir=/x"],
    "unknown option '--data-dir=/x'",
    "set `data_dir` in the configuration or REGISTRY_CACHE_DATA_DIR",
  ],
  [["toString"], "unknown command 'toString'", "see registry-cache --help"],
  [["--confg", "x"], "unknown option '--confg'", "did you mean --config?"],
  [["check", "--jsn"], "unknown option '--jsn'", "did you mean --json?"],
  [["serve", "--frobnicate"], "unknown option '--frobnicate'", "see registry-cache serve --help"],
  [["check", "--config"], "option '-c, --config <file>' argument missing", "see registry-cache check --help"],
  [["check", "a.yaml"], "an image is of no use here without --as", "did you mean --config a.yaml?"],
  [
    ["check", "all"],
    "an image is of no use here without --as",
    "registry-cache check --as ci-runner ghcr.io/org/app:1",
  ],
  [["-v"], "unknown option '-v'", "did you mean --version?"],
] as const) {
  test(`a wrong command line gets an error, a hint and exit code 2: ${args.join(" ")}`, async (t) => {
    assert.deepEqual(await runHere(args, await tempDir(t)), {
      exitCode: 2,
      out: "",
      err: `error: ${error}\nhint: ${hint}\n`,
    });
  });
}

test("no command at all is a wrong command line, answered by the list of commands", async (t) => {
  const { exitCode, out, err } = await runHere([], await tempDir(t));
  assert.equal(exitCode, 2);
  assert.equal(out, "");
  assert.match(err, /^Usage: registry-cache .*^ {2}serve .*^Example:\n/ms);
});

for (const [args, usage] of [
  [["--help"], "registry-cache [options] [command]"],
  [["help"], "registry-cache [options] [command]"],
  [["help", "serve"], "registry-cache serve [options]"],
  [["serve", "--help"], "registry-cache serve [options]"],
  [["check", "-h"], "registry-cache check [options] [image]"],
  [["reindex", "--help"], "registry-cache reindex [options]"],
] as const) {
  test(`help tells the use, the options and an example: ${args.join(" ")}`, async (t) => {
    const { exitCode, out, err } = await runHere(args, await tempDir(t));
    assert.deepEqual({ exitCode, err }, { exitCode: 0, err: "" });
    assert.equal(out.split("\n")[0], `Usage: ${usage}`);
    assert.match(out, /^ {2}-c, --config <file> /m);
    assert.match(out, /^Example:\n {2}\$ registry-cache /m);
  });
}

test("the version is the package's", async (t) => {
  const outcome = await runCommand(t, ["--version"], { cwd: await tempDir(t) });
  assert.deepEqual(outcome, { exitCode: 0, out: `${packageVersion()}\n`, err: "" });
});

test("check without a configuration prints the built-in one, without a secret of the environment", async (t) => {
  const environment = { REGISTRY_CACHE_DOCKERHUB_USERNAME: "me", REGISTRY_CACHE_DOCKERHUB_PASSWORD: "hunter2" };
  const { exitCode, out, err } = await runHere(["check"], await tempDir(t), environment);
  assert.deepEqual({ exitCode, err }, { exitCode: 0, err: "" });
  assert.match(out, /^ {2}dockerhub:\n/m);
  assert.match(out, /^ {4}username: me\n {4}password: "?\*{8}"?\n/m);
  assert.doesNotMatch(out, /hunter2/);
});

test("check --as says what the rules say, in words, as JSON and by the exit code", async (t) => {
  const cwd = await tempDir(t);
  await writeFile(
    join(cwd, "registry-cache.yaml"),
    'access: { rules: [{ who: "ci-*", repository: "org/**", allow: false }] }\n',
  );
  const denied = await runHere(["check", "--as", "ci-1", "ghcr.io/org/app:1"], cwd);
  const text = "ci-1 may not pull ghcr.io/org/app:1: rule 1 of access.rules forbids it";
  const nobody = "warning: no user, secret path or certificate here is called ci-1\n";
  assert.deepEqual(denied, { exitCode: 1, out: `${text}\n`, err: nobody });
  const allowed = await runHere(["check", "--json", "--as", "ci-1", "nginx"], cwd);
  const explanation = { isAllowed: true, text: "ci-1 may pull docker.io/library/nginx:latest: no rule is about that" };
  assert.deepEqual(allowed, { exitCode: 0, out: `${JSON.stringify(explanation)}\n`, err: nobody });
  const unknown = await runHere(["check", "--as", "ci-1", "nowhere.example/app"], cwd);
  assert.deepEqual(
    [unknown.exitCode, unknown.err],
    [2, 'error: the registry "nowhere.example" is not configured here\n'],
  );
});

test("check --as knows the users of the password file, and who is let in without a name", async (t) => {
  const cwd = await tempDir(t);
  await writeFile(join(cwd, "registry-cache.yaml"), "access: { basic: { htpasswd: users } }\n");
  await writeFile(join(cwd, "users"), "ann:$2b$04$abcdefghijklmnopqrstuuJjXvV8V0Y4l0Zp3p1Yx0n5o5bJ9c9dK\n");
  const ann = await runHere(["check", "--as", "ann", "nginx"], cwd);
  const pulls = "ann may pull docker.io/library/nginx:latest: no rule is about that\n";
  assert.deepEqual(ann, { exitCode: 0, out: pulls, err: "" });
  const nobody = await runHere(["check", "--as", "anonymous", "nginx"], cwd);
  const asked = "anonymous may not pull docker.io/library/nginx:latest: it is asked for a name first\n";
  assert.deepEqual(nobody, { exitCode: 1, out: asked, err: "" });
});

test("users are added, changed, listed and removed, and a password is never printed", async (t) => {
  const cwd = await tempDir(t);
  await writeFile(join(cwd, "registry-cache.yaml"), "access: { basic: { htpasswd: users } }\n");
  const path = join(cwd, "users");
  const user = async (args: readonly string[], input = "correct horse\n") =>
    await runHere(["user", ...args], cwd, {}, input);
  const missing = `warning: ${path} is not there, so that there are no users\n`;
  assert.deepEqual(await user(["list"]), { exitCode: 0, out: "", err: missing });
  const added = await user(["add", "me", "--password-stdin"]);
  assert.deepEqual(added, { exitCode: 0, out: `added me to ${path}\n`, err: "" });
  assert.match(await readFile(path, "utf8"), /^me:\$2b\$10\$\S{53}\n$/);
  assert.equal((await user(["add", "me", "--password-stdin"])).exitCode, 1);
  const before = await readFile(path, "utf8");
  assert.equal((await user(["passwd", "me", "--password-stdin"], "battery staple")).exitCode, 0);
  assert.notEqual(await readFile(path, "utf8"), before);
  assert.equal((await user(["add", "ci", "--file", "users", "--password-stdin"])).exitCode, 0);
  assert.deepEqual(await user(["list", "--json"]), { exitCode: 0, out: '["ci","me"]\n', err: "" });
  assert.equal((await user(["remove", "me"])).exitCode, 0);
  assert.deepEqual((await user(["list"])).out, "ci\n");
});

for (const [args, input, error] of [
  [["user", "add", "a:b", "--password-stdin"], "correct horse", 'error: "a:b" is no name for a user\nhint: at most 64'],
  [["user", "add", "me", "--password-stdin"], "short", "error: a password needs 8 characters at least\nhint: "],
  [["user", "add", "me", "--password-stdin"], "x".repeat(73), "error: a password has at most 72 bytes"],
  [["user", "add", "me"], "", "error: there is no terminal to ask for a password\nhint: use --password-stdin\n"],
  [["user", "remove", "you"], "", "error: there is no user you in "],
  [["user", "passwd", "you", "--password-stdin"], "correct horse", "error: there is no user you in "],
  [["user", "add"], "", "error: missing required argument 'name'\nhint: see registry-cache user --help\n"],
] as const) {
  test(`${args.join(" ")} with ${input.slice(0, 6)} is refused, and changes nothing`, async (t) => {
    const cwd = await tempDir(t);
    await writeFile(join(cwd, "registry-cache.yaml"), "access: { basic: { htpasswd: users } }\n");
    const { exitCode, out, err } = await runHere(args, cwd, {}, input);
    assert.notEqual(exitCode, 0);
    assert.equal(out, "");
    assert.ok(err.startsWith(error), err);
    assert.ok(!existsSync(join(cwd, "users")));
  });
}

test("check warns where passwords that are passed through can be read on their way", async (t) => {
  const cwd = await tempDir(t);
  const registry = "registries: { ghcr: { hostnames: [ghcr.example.com], private_content: pass_through } }";
  const warnedAt = async (listen: string) => {
    await writeFile(join(cwd, "registry-cache.yaml"), `listen: ${listen}\n${registry}\n`);
    return (await runHere(["check"], cwd)).err;
  };
  assert.equal(await warnedAt("127.0.0.1:5000"), "");
  for (const listen of ["0.0.0.0:5000", "[127.0.0.1:5000, 10.0.0.7:5000]"]) {
    assert.match(
      await warnedAt(listen),
      /^warning: no TLS: passwords and secret paths can be read on their way here\n$/,
    );
  }
});

test("check shows whose certificate it is, never the key, and warns beside its output", async (t) => {
  const cwd = await tempDir(t);
  const { cert, key } = selfSignedCertificate([], { validDays: [-9, -3] });
  await writeFile(join(cwd, "tls.pem"), cert + key, { mode: 0o600 });
  await writeFile(join(cwd, "registry-cache.yaml"), "tls: { mode: files, cert: tls.pem, key: tls.pem }\n");
  const { exitCode, out, err } = await runHere(["check"], cwd);
  assert.equal(exitCode, 0);
  assert.match(out, /^ {2}cert: certificate of CN=registry-cache test until \S+\n {2}key: "?\*{8}"?\n/m);
  assert.ok(!out.includes("PRIVATE KEY"));
  assert.match(err, /^warning: certificate 1 in "tls\.pem" expired on \S+: clients refuse it\n$/);
});

for (const args of [
  ["check", "--json", "--config", "mine.yaml"],
  ["--config", "mine.yaml", "check", "--json"],
]) {
  test(`--config stands before or after the command: ${args.join(" ")}`, async (t) => {
    const cwd = await tempDir(t);
    await writeFile(join(cwd, "mine.yaml"), "fills_max: 7\n");
    const { exitCode, out, err } = await runHere(args, cwd);
    assert.deepEqual({ exitCode, err }, { exitCode: 0, err: "" });
    assert.equal((JSON.parse(out) as { fills_max: number }).fills_max, 7);
  });
}

for (const command of ["check", "serve", "reindex"]) {
  test(`${command} refuses a wrong configuration with file and line, and exit code 2`, async (t) => {
    const cwd = await tempDir(t);
    await writeFile(join(cwd, "registry-cache.yaml"), "data_dir: ./data\nregistries:\n  dockerhub: { usrname: me }\n");
    assert.deepEqual(await runHere([command], cwd), {
      exitCode: 2,
      out: "",
      err: 'error: registry-cache.yaml:3: registries.dockerhub.usrname: unknown key\nhint: did you mean "username"?\n',
    });
  });
}

test("the process ends with the command's exit code, output and errors", async (t) => {
  const cwd = await tempDir(t);
  const good = await runCommand(t, ["check"], { cwd });
  assert.deepEqual(good, await runHere(["check"], cwd));
  const wrong = await runCommand(t, ["chek"], { cwd });
  assert.deepEqual(wrong, { exitCode: 2, out: "", err: "error: unknown command 'chek'\nhint: did you mean check?\n" });
});

const FULL = "/dev/full";

test("output that cannot be written is a failure", { skip: !existsSync(FULL) }, async (t) => {
  const full = openSync(FULL, "w");
  const { status, stderr } = spawnSync(process.execPath, [MAIN, "check"], {
    cwd: await tempDir(t),
    env: { PATH: process.env["PATH"] },
    stdio: ["ignore", full, "pipe"],
    encoding: "utf8",
  });
  closeSync(full);
  assert.equal(status, 1);
  assert.match(stderr, /^error: standard output: ENOSPC: .*\n$/);
});
