import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const checkout = path.resolve(import.meta.dirname, "..");
const START_TIMEOUT_MS = 20_000;
/** What npm says where its registry cannot be reached, which is no fault of the package. */
const UNREACHABLE = new Set(["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ENETUNREACH", "ETIMEDOUT"]);

/** The checkout without what was fetched, built or cached, so that packing it leaves the real one alone. */
async function copyCheckout(to: string): Promise<void> {
  const left = new Set([".git", ".node", "node_modules", "dist", "data", "test", "bench"]);
  const names = (await readdir(checkout)).filter((name) => !left.has(name) && !name.endsWith(".tgz"));
  await mkdir(to);
  for (const name of names) await cp(path.join(checkout, name), path.join(to, name), { recursive: true });
  await symlink(path.join(checkout, "node_modules"), path.join(to, "node_modules"));
}

/** npm's error code with `--json`: on standard output, `{"error": {"code": ...}}`. */
function npmErrorCode(error: unknown): string | undefined {
  const { stdout = "" } = error as { stdout?: string };
  try {
    return (JSON.parse(stdout) as { error?: { code?: string } }).error?.code;
  } catch {
    return undefined;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  assert.ok(address !== null && typeof address === "object");
  return address.port;
}

/** The answer of a server that is starting; throws once it has ended, or does not answer in time. */
async function firstAnswer(url: string, child: ChildProcess): Promise<Response> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    try {
      return await fetch(url);
    } catch (error) {
      if (child.exitCode !== null || Date.now() > deadline) throw error;
      await delay(50);
    }
  }
}

describe("the npm package, installed in an empty folder", () => {
  let work: string;
  let command: string;
  let unreachable: string | undefined;

  before(async () => {
    work = await mkdtemp(path.join(tmpdir(), "registry cache package "));
    const source = path.join(work, "source");
    const home = path.join(work, "home");
    await copyCheckout(source);
    await mkdir(home);
    await run("npm", ["pack", "--pack-destination", work], { cwd: source });
    const packed = (await readdir(work)).find((name) => name.endsWith(".tgz"));
    assert.ok(packed !== undefined);
    const flags = ["--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--json"];
    try {
      await run("npm", ["install", ...flags, path.join(work, packed)], { cwd: home });
    } catch (error) {
      const code = npmErrorCode(error);
      if (code === undefined || !UNREACHABLE.has(code)) throw error;
      unreachable = `npm's registry cannot be reached: ${code}`;
    }
    command = path.join(home, "node_modules/.bin/registry-cache");
  });

  after(() => rm(work, { recursive: true, force: true }));

  test("tells its version", async (context) => {
    if (unreachable !== undefined) return context.skip(unreachable);
    const { stdout } = await run(command, ["--version"], { cwd: work });
    const { version } = JSON.parse(await readFile(path.join(checkout, "package.json"), "utf8")) as { version: string };
    assert.ok(stdout.trimEnd().endsWith(version), stdout);
  });

  test("serves until it is told to stop", async (context) => {
    if (unreachable !== undefined) return context.skip(unreachable);
    const port = await freePort();
    const config = path.join(work, "registry-cache.yaml");
    await writeFile(config, JSON.stringify({ listen: `127.0.0.1:${port}`, data_dir: path.join(work, "data") }));
    const child = spawn(command, ["serve", "--config", config], { cwd: work, stdio: "ignore" });
    const exited = once(child, "exit");
    try {
      const response = await firstAnswer(`http://127.0.0.1:${port}/healthz`, child);
      assert.equal(response.status, 200);
      await response.body?.cancel();
    } finally {
      child.kill("SIGTERM");
    }
    assert.deepEqual(await exited, [0, null]);
  });

  test("ships what runs and nothing else", async (context) => {
    if (unreachable !== undefined) return context.skip(unreachable);
    const installed = path.join(path.dirname(command), "../registry-cache");
    const files = await readdir(installed, { recursive: true });
    assert.ok(files.includes(path.join("dist", "main.js")));
    assert.ok(files.includes(path.join("dist", "third-party-licences.txt")));
    assert.deepEqual(
      files.filter((file) => /\.tsx?$|\.test\.|\.contract\./.test(file)),
      [],
    );
  });
});
