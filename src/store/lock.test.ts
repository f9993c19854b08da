import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { tempDir } from "../../test/support/temp.ts";
import { DataFolderBusyError, lockDataFolder } from "./lock.ts";

/** Another process that holds the lock until it is killed. */
async function otherHolder(t: TestContext, dataDir: string) {
  const lock = new URL("lock.ts", import.meta.url).href;
  const script = `await (await import(${JSON.stringify(lock)})).lockDataFolder(${JSON.stringify(dataDir)});
    process.stdout.write("locked"); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  await once(child.stdout, "data");
  return child;
}

test("a second process is refused, and the lock ends with the first one even when that is killed", async (t) => {
  const dataDir = join(await tempDir(t), "made", "here");
  const child = await otherHolder(t, dataDir);
  await assert.rejects(lockDataFolder(dataDir), (error) => {
    assert.ok(error instanceof DataFolderBusyError);
    assert.match(error.message, /another registry-cache is running/);
    assert.match(error.hint, /data_dir/);
    return true;
  });
  child.kill("SIGKILL");
  await once(child, "exit");
  (await lockDataFolder(dataDir)).release();
});

test("the same process is refused too, which does not loosen the lock, until it is released", async (t) => {
  const dataDir = await tempDir(t);
  const lock = await lockDataFolder(dataDir);
  for (let time = 0; time < 2; time++) await assert.rejects(lockDataFolder(dataDir), DataFolderBusyError);
  lock.release();
  (await lockDataFolder(dataDir)).release();
});

test("a folder in the lock's place is an error, not a crash", async (t) => {
  const dataDir = await tempDir(t);
  await mkdir(join(dataDir, "lock.sqlite"));
  await assert.rejects(lockDataFolder(dataDir));
});
