import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import path from "node:path";
import { describe, test, type TestContext } from "node:test";
import { promisify } from "node:util";

import { MAIN, runCommand, startCommand } from "../support/command.ts";
import { type FakeUpstreamOptions, startFakeUpstream } from "../support/fake-upstream.ts";
import { tempDir } from "../support/temp.ts";
import { assertGolden } from "./support/golden.ts";
import { freePort } from "./support/processes.ts";
import { Screen } from "./support/screen.ts";
import { skipReasonWithout, toolPath } from "./support/tools.ts";

const run = promisify(execFile);

const CONFIG = "registry-cache.yaml";

/** A folder to type `registry-cache config` in. */
async function startWizard(
  t: TestContext,
  files: Readonly<Record<string, string>> = {},
  hidden: readonly (readonly [RegExp | string, string])[] = [],
) {
  const cwd = await tempDir(t);
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(cwd, name), text, { mode: 0o600 });
  // As it is where the program is installed.
  const programs = await tempDir(t);
  await writeFile(path.join(programs, "registry-cache"), "");
  await chmod(path.join(programs, "registry-cache"), 0o755);
  const environment = { PATH: `${programs}:/usr/bin:/bin`, HOME: cwd };
  const screen = await Screen.start(t, [process.execPath, MAIN, "config"], {
    cwd,
    environment,
    hidden: [
      [/\(\S+ [KMGT]iB are free now\)/g, "(N GiB are free now)"],
      [new RegExp(`^│  ${hostname()}$`, "gm"), "│  HOSTNAME"],
      ...hidden,
    ],
  });
  const text = async (name: string) => await readFile(path.join(cwd, name), "utf8");
  /** What is kept of it: its screens, and what it wrote. */
  const assertKept = async (name: string) => {
    const written = (await text(CONFIG).catch(() => "")).trimEnd();
    const shown = hidden.reduce((all, [found, by]) => all.replaceAll(found, by), written);
    await assertGolden(`wizard-${name}`, `${screen.kept}\n=== ${CONFIG}\n${shown}\n`);
  };
  return { cwd, screen, text, assertKept, path: (name: string) => path.join(cwd, name) };
}

/** Presses Enter at each of these questions. */
async function enterAt(screen: Screen, ...questions: readonly string[]): Promise<void> {
  for (const question of questions) {
    await screen.asks(question);
    await screen.press("Enter");
  }
}

async function assertGood(t: TestContext, cwd: string): Promise<void> {
  const { exitCode, err } = await runCommand(t, ["check"], { cwd });
  assert.deepEqual([exitCode, err], [0, ""]);
}

const WHICH = "Which registries";
const ACCOUNTS = "have an account";
const WHO_REACHES = "Who is to reach";
const PORT = "At which port";
const NAMES = "Which host names";
const TLS = "Does it speak TLS";
const WHO_PULLS = "Who may pull";
const METHODS = "By what do you know them";
const FOLDER = "In which folder";
const FREE = "stays free";
const WRITE = "Write it?";

const HUB_USER = { me: "correct horse" };

async function startHub(t: TestContext, options: FakeUpstreamOptions = { auth: "bearer", users: HUB_USER }) {
  const fake = await startFakeUpstream(options);
  t.after(() => fake.stop());
  fake.addImage("ratelimitpreview/test", "latest");
  const image = fake.addImage("library/alpine", "latest");
  const limits = { "ratelimit-limit": "200;w=21600", "ratelimit-remaining": "184;w=21600" };
  fake.script({ path: "ratelimitpreview" }, { kind: "headers", set: limits, times: Infinity });
  const { port } = new URL(fake.url);
  return { fake, image, port, hidden: [port, "1".repeat(port.length)] as const };
}

describe("registry-cache config, on a terminal", { skip: skipReasonWithout(["tmux", "curl", "openssl"]) }, () => {
  test("Enter all the way makes a configuration that works", async (t) => {
    const { screen, cwd, assertKept } = await startWizard(t);
    await enterAt(screen, WHICH, ACCOUNTS, WHO_REACHES, PORT, NAMES, TLS, WHO_PULLS, FOLDER, FREE, WRITE);
    assert.equal(await screen.ended(), 0);
    assert.deepEqual(await readdir(cwd), [CONFIG]);
    await assertGood(t, cwd);
    await assertKept("enter-all-the-way");
  });

  test("nine registries with a host name each, Let's Encrypt and passwords", async (t) => {
    const { screen, cwd, text, assertKept } = await startWizard(t);
    await enterAt(screen, WHICH, ACCOUNTS);
    await screen.asks(WHO_REACHES);
    await screen.press("Down", "Enter");
    await screen.asks(PORT);
    await screen.type("443");
    await screen.asks(NAMES);
    await screen.press("Down", "Enter");
    await screen.asks("Below which domain");
    await screen.type("https://registry.example.com");
    await screen.asks(/is not a host name/);
    await screen.press("C-u");
    await screen.type("registry.example.com");
    await enterAt(screen, "Are these right");
    await screen.asks(TLS);
    await screen.press("Down", "Down", "Enter");
    await screen.asks("Where may it write to");
    await screen.type("ops@example.com");
    await enterAt(screen, "How does it see");
    await enterAt(screen, WHO_PULLS);
    await screen.asks(METHODS);
    await screen.press("Space", "Down", "Space", "Enter");
    await screen.asks("first user");
    await screen.type("ann");
    await screen.asks("Password for ann");
    await screen.type("short", "(a short password)");
    await screen.asks(/8 characters/);
    await screen.press("C-u");
    await screen.type("battery staple", "(a password)");
    await screen.asks("The same again");
    await screen.type("battery staple", "(the same)");
    await enterAt(screen, FOLDER, FREE, WRITE);
    assert.equal(await screen.ended(), 0);
    assert.match(await text("users.htpasswd"), /^ann:\$2b\$10\$/);
    assert.ok(!screen.kept.includes("battery"));
    await assertGood(t, cwd);
    await assertKept("nine-with-names");
  });

  const BY_HAND = (port: string) => `# ours
workers: 2   # of four cores
listen: 127.0.0.1:5000

registries:
  # nearer than the Hub
  dockerhub: { upstream: "http://127.0.0.1:${port}", allow_private_addresses: true }
  ghcr: { enabled: false } # nobody needs it
`;

  test("a second time it changes what is there: an account that is tried as it is typed, and what it leaves", async (t) => {
    const hub = await startHub(t);
    const files = { [CONFIG]: BY_HAND(hub.port), ".env": "# mine\nOTHER=1\n" };
    const { screen, cwd, text, path: at, assertKept } = await startWizard(t, files, [hub.hidden]);
    await enterAt(screen, WHICH);
    await screen.asks(ACCOUNTS);
    await screen.press("Space", "Enter");
    await screen.asks("User at docker.io");
    await screen.type("me");
    await screen.asks("Password or token of me");
    await screen.type("battery staple", "(a wrong password)");
    await enterAt(screen, "What now?");
    await enterAt(screen, "User at docker.io");
    await screen.asks("Password or token of me");
    await screen.type("correct horse", "(the right password)");
    await screen.asks(WHO_REACHES);
    await screen.press("Down", "Enter");
    await screen.asks(PORT);
    await screen.type("5001");
    await enterAt(screen, NAMES, TLS, WHO_PULLS, FOLDER, FREE, WRITE);
    assert.equal(await screen.ended(), 0);
    await screen.says("184 of 200 pulls in 6 h are left");
    assert.equal(await text(".env"), "# mine\nOTHER=1\nREGISTRY_CACHE_DOCKERHUB_PASSWORD='correct horse'\n");
    assert.equal((await stat(at(".env"))).mode & 0o777, 0o600);
    assert.ok(!/correct|battery/.test(screen.kept));
    await assertGood(t, cwd);
    await assertKept("second-time");
  });

  test("a registry that cannot be reached says so, and its account is kept", async (t) => {
    const hub = await startHub(t);
    await hub.fake.stop();
    const { screen, text, assertKept } = await startWizard(t, { [CONFIG]: BY_HAND(hub.port) }, [hub.hidden]);
    await enterAt(screen, WHICH);
    await screen.asks(ACCOUNTS);
    await screen.press("Space", "Enter");
    await screen.asks("User at docker.io");
    await screen.type("me");
    await screen.asks("Password or token of me");
    await screen.type("correct horse", "(a password)");
    await enterAt(screen, "What now?", WHO_REACHES, NAMES, TLS, WHO_PULLS, FOLDER, FREE, WRITE);
    assert.equal(await screen.ended(), 0);
    assert.match(await text(".env"), /^REGISTRY_CACHE_DOCKERHUB_PASSWORD='correct horse'$/m);
    await assertKept("unreachable");
  });

  test("a registry of one's own", async (t) => {
    const { screen, cwd, assertKept } = await startWizard(t);
    await screen.asks(WHICH);
    await screen.press("Up", "Space", "Enter");
    await screen.asks("Its name");
    await screen.type("registry.corp.example");
    await enterAt(screen, "Where is it", "A short name", "The next one's name", ACCOUNTS);
    await enterAt(screen, WHO_REACHES, PORT, NAMES, TLS, WHO_PULLS, FOLDER, FREE, WRITE);
    assert.equal(await screen.ended(), 0);
    await assertGood(t, cwd);
    await assertKept("own-registry");
  });

  for (const [title, questions] of [
    ["at the first question", [WHICH]],
    ["in the middle", [WHICH, ACCOUNTS, WHO_REACHES, PORT, NAMES]],
    ["at the last one", [WHICH, ACCOUNTS, WHO_REACHES, PORT, NAMES, TLS, WHO_PULLS, FOLDER, FREE, WRITE]],
  ] as const) {
    test(`Ctrl+C ${title} leaves everything as it is`, async (t) => {
      const { screen, cwd } = await startWizard(t);
      await enterAt(screen, ...questions.slice(0, -1));
      await screen.asks(questions.at(-1) ?? "");
      await screen.press("C-c");
      assert.equal(await screen.ended(), 130);
      await screen.says("error: given up; nothing was changed");
      assert.deepEqual(await readdir(cwd), []);
      if (questions.length === 5) await assertGolden("wizard-ctrl-c", screen.kept);
    });
  }

  test("Ctrl+C while a registry is asked leaves everything as it is", async (t) => {
    const hub = await startHub(t);
    hub.fake.script({ role: "registry" }, { kind: "hang", times: Infinity });
    const { screen, text } = await startWizard(t, { [CONFIG]: BY_HAND(hub.port) });
    await enterAt(screen, WHICH);
    await screen.asks(ACCOUNTS);
    await screen.press("Space", "Enter");
    await screen.asks("User at docker.io");
    await screen.type("me");
    await screen.asks("Password or token of me");
    await screen.type("correct horse");
    await screen.says("Asking docker.io ...");
    await hub.fake.until(() => hub.fake.requests.length > 0);
    await screen.press("C-c");
    assert.equal(await screen.ended(), 130);
    assert.equal(await text(CONFIG), BY_HAND(hub.port));
  });

  test("an authority of one's own, whose certificates then serve a pull by mutual TLS", async (t) => {
    const hub = await startHub(t);
    const port = String(await freePort());
    const hidden = [hub.hidden, [port, "2".repeat(port.length)]] as const;
    const files = {
      [CONFIG]: `registries: { dockerhub: { upstream: "http://127.0.0.1:${hub.port}", allow_private_addresses: true } }\n`,
    };
    const { screen, cwd, path: at, assertKept } = await startWizard(t, files, hidden);
    await enterAt(screen, WHICH, ACCOUNTS);
    await screen.asks(WHO_REACHES);
    await screen.press("Down", "Down", "Enter");
    await screen.asks(PORT);
    await screen.type(port, "(a free port)");
    await enterAt(screen, NAMES);
    await screen.asks("Which one");
    await screen.type("cache.example.com");
    await enterAt(screen, TLS, WHO_PULLS);
    await screen.asks(METHODS);
    await screen.press("Space", "Down", "Down", "Space", "Enter");
    await enterAt(screen, "Which authority signs");
    await screen.asks("Clients that get a certificate");
    await screen.type("ci-runner");
    await enterAt(screen, FOLDER, FREE, WRITE);
    assert.equal(await screen.ended(), 0);
    await assertKept("own-authority");
    await assertGood(t, cwd);

    const [ca, cert, key] = ["ca", "ci-runner", "ci-runner-key"].map((name) => at(`certificates/${name}.pem`));
    await run(toolPath("openssl"), [
      "verify",
      "-x509_strict",
      "-purpose",
      "sslclient",
      "-CAfile",
      ca ?? "",
      cert ?? "",
    ]);
    const server = startCommand(t, ["serve"], { cwd });
    await server.said(/"msg":"serving"/);
    const url = `https://cache.example.com:${port}/v2/docker.io/library/alpine/manifests/latest`;
    const common = [
      "--silent",
      "--show-error",
      "--resolve",
      `cache.example.com:${port}:127.0.0.1`,
      "--cacert",
      ca ?? "",
    ];
    const shown = ["--write-out", "%{http_code}", "--output"];
    const manifest = at("manifest");
    const pulled = await run(toolPath("curl"), [
      ...common,
      "--cert",
      cert ?? "",
      "--key",
      key ?? "",
      ...shown,
      manifest,
      url,
    ]);
    assert.equal(pulled.stdout, "200");
    assert.equal((await readFile(manifest)).length, hub.image.bytes.length);
    const nameless = await run(toolPath("curl"), [...common, ...shown, "/dev/null", url]);
    assert.equal(nameless.stdout, "403");
  });
});
