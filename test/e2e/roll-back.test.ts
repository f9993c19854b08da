import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";
import { HoldsInMemory } from "../../src/pull/holds.ts";
import { sha256 } from "../support/bytes.ts";
import { startCache, testRegistry } from "../support/cache.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { tempDir } from "../support/temp.ts";
import { name, tag } from "../support/upstreams.ts";
import { skipReason, toolPath } from "./support/tools.ts";

const run = promisify(execFile);
const APP = { registryId: "dockerhub", serves: "docker.io", name: name("library/app") };

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
      const holds = new HoldsInMemory();
      const registry = testRegistry(upstream.url, { tags: [{ match: "*", revalidate: { kind: "after", ms: 0 } }] });
      const cache = await startCache(t, [registry], { config: { workers }, more: { holds } });
      const good = upstream.addImage("library/app", "latest", { seed: "good" });
      assert.equal(await copied(t, cache.url), good.digest);
      const broken = upstream.addImage("library/app", "latest", { seed: "broken" });
      assert.equal(await copied(t, cache.url), broken.digest);
      const latest = tag("latest");
      assert.ok(latest.kind === "tag");
      holds.hold(APP, latest.tag, good.digest);
      assert.equal(await copied(t, cache.url), good.digest);
      // No word of upstream's is needed for it.
      await upstream.stop();
      assert.equal(await copied(t, cache.url), good.digest);
      await upstream.restart();
      holds.release(APP, latest.tag);
      assert.equal(await copied(t, cache.url), broken.digest);
    });
  }
});
