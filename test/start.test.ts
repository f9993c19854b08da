import assert from "node:assert/strict";
import { mkdir, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import { createApp } from "../src/app.ts";
import { OPEN_ACCESS, testConfig, testRegistry } from "./support/cache.ts";
import { openFiles } from "./support/open-files.ts";
import { tempDir } from "./support/temp.ts";

test("a cache that could not be built leaves its data folder to the next one", async (t) => {
  const dataDir = await tempDir(t);
  const htpasswd = join(dataDir, "users");
  const access = { ...OPEN_ACCESS, anonymous: false, htpasswd, bearer: true };
  const config = testConfig(dataDir, [testRegistry("http://127.0.0.1:9")], { access });
  const log = pino({ level: "silent" });
  // Nothing can be written where a folder is.
  await mkdir(join(dataDir, "token-key"));
  for (let time = 0; time < 2; time += 1) await assert.rejects(createApp(config, log), { code: "EISDIR" });
  assert.deepEqual(
    (await openFiles()).filter((path) => path.startsWith(dataDir)),
    [],
  );
  await rmdir(join(dataDir, "token-key"));
  const app = await createApp(config, log);
  await app.start();
  await app.stop();
});
