import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";
import { sha256 } from "../support/bytes.ts";
import { startCache, testRegistry } from "../support/cache.ts";
import { runCommand } from "../support/command.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { tempDir } from "../support/temp.ts";
import { skipReason, toolPath } from "./support/tools.ts";

const run = promisify(execFile);

/** The digest of what Skopeo gets by the tag, after it has checked all of it. */
async function copied(t: TestContext, url: string): Promise<string> {
  const folder = path.join(await tempDir(t), "copy");
  const source = `docker://${url.replace("http://", "")}/library/app:latest`;
  await run(toolPath("skopeo"), ["copy", "--quiet", "--src-tls-verify=false", source, `dir:${folder}`]);
  return sha256(await readFile(path.join(folder, "manifest.json")));
}

describe("Skopeo, after upstream has pushed something broken", { skip: skipReason(["skopeo"]) }, () => {
  for (const workers of [1, 2]) {
    it(`gets what was good as soon as the tag is held there, with ${workers} worker(s)`, async (t) => {
      const upstream = await startFakeUpstream();
      t.after(async () => await upstream.stop());
      const registry = testRegistry(upstream.url, { tags: [{ match: "*", revalidate: { kind: "after", ms: 0 } }] });
      const cache = await startCache(t, [registry], { config: { workers } });
      const cwd = await tempDir(t);
      await writeFile(path.join(cwd, "registry-cache.yaml"), `data_dir: ${JSON.stringify(cache.dataDir)}\n`);
      const command = async (...args: string[]) => {
        const { exitCode, err } = await runCommand(t, args, { cwd });
        assert.equal(exitCode, 0, err);
      };
      const good = upstream.addImage("library/app", "latest", { seed: "good" });
      assert.equal(await copied(t, cache.url), good.digest);
      const broken = upstream.addImage("library/app", "latest", { seed: "broken" });
      assert.equal(await copied(t, cache.url), broken.digest);
      await command("pin", `app:latest@${good.digest}`);
      assert.equal(await copied(t, cache.url), good.digest);
      // No word of upstream's is needed for it.
      await upstream.stop();
      assert.equal(await copied(t, cache.url), good.digest);
      await upstream.restart();
      await command("unpin", "app:latest");
      assert.equal(await copied(t, cache.url), broken.digest);
    });
  }
});
