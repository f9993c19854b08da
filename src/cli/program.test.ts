import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { MAIN, type Outcome, runCommand } from "../../test/support/command.ts";
import { tempDir } from "../../test/support/temp.ts";
import { packageVersion } from "../lib/version.ts";
import { run } from "./program.ts";

/** As `runCommand`, but in this process, which is sooner done. */
async function runHere(args: readonly string[], cwd: string, environment: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const text = { out: "", err: "" };
  const outputTo = (stream: "out" | "err") => ({
    write: (piece: string) => void (text[stream] += piece),
    isTerminal: false,
    hasColors: false,
  });
  const input = { isTerminal: false, readAll: async () => "", askSecret: async () => "" };
  const exitCode = await run(args, { environment, cwd, input, out: outputTo("out"), err: outputTo("err") });
  return { exitCode, ...text };
}

for (const [args, error, hint] of [
  [["chek"], "unknown command 'chek'", "did you mean check?"],
  [["frobnicate"], "unknown command 'frobnicate'", "see registry-cache --help"],
  [["start"], "unknown command 'start'", "did you mean registry-cache serve?"],
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
  [
    ["check", "a.yaml"],
    "too many arguments for 'check'. Expected 0 arguments but got 1: a.yaml.",
    "did you mean --config a.yaml?",
  ],
  [
    ["check", "all"],
    "too many arguments for 'check'. Expected 0 arguments but got 1: all.",
    "see registry-cache check --help",
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
  [["check", "-h"], "registry-cache check [options]"],
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
