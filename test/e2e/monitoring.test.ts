import { execFile, spawn } from "node:child_process";
import assert from "node:assert/strict";
import { once } from "node:events";
import { cp, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { testRegistry } from "../support/cache.ts";
import { ask } from "../support/client.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { tempDir } from "../support/temp.ts";
import { startWhole } from "../support/whole.ts";
import { DEBIAN_FILES, debianFile, notFetchedFile } from "./support/debian-files.ts";

const skip = notFetchedFile("promtool");
const promtool = () => debianFile(DEBIAN_FILES.promtool) as string;
const folder = path.resolve(import.meta.dirname, "../../deploy/prometheus");
const run = async (...args: string[]) => await promisify(execFile)(promtool(), args, { cwd: folder });

for (const workers of [1, 2]) {
  test(`promtool finds nothing wrong with what ${workers} workers tell`, { skip }, async (t) => {
    const upstream = await startFakeUpstream();
    t.after(async () => await upstream.stop());
    const image = upstream.addImage("library/nginx", "latest");
    const cache = await startWhole(t, [testRegistry(upstream.url)], { workers });
    for (const what of ["manifests/latest", `blobs/${image.config.digest}`, "tags/list", "manifests/absent"]) {
      await ask(`${cache.url}/v2/library/nginx/${what}`);
    }
    const { body } = await ask(`${cache.url}/metrics`);
    const checking = spawn(promtool(), ["check", "metrics"], { stdio: ["pipe", "pipe", "pipe"] });
    let said = "";
    checking.stdout.on("data", (text: Buffer) => (said += text.toString()));
    checking.stderr.on("data", (text: Buffer) => (said += text.toString()));
    checking.stdin.end(body);
    const [code] = (await once(checking, "close")) as [number];
    assert.deepEqual([said, code], ["", 0]);
  });
}

test("promtool takes the rules and the configuration, and the rules wake whom they should", { skip }, async (t) => {
  assert.match((await run("check", "rules", "registry-cache.rules.yml")).stdout, /SUCCESS: \d+ rules found/);
  assert.match((await run("test", "rules", "registry-cache.rules.test.yml")).stdout, /SUCCESS/);
  const copy = path.join(await tempDir(t), "prometheus");
  await cp(folder, copy, { recursive: true });
  const config = path.join(copy, "prometheus.yml");
  assert.match((await run("check", "config", config)).stdout, /is valid prometheus config file syntax/);
  // A rule that would never fire does not pass.
  const rules = path.join(copy, "registry-cache.rules.yml");
  await writeFile(rules, (await readFile(rules, "utf8")).replace("== 0\n        for: 5m", "== 2\n        for: 5m"));
  await assert.rejects(run("test", "rules", path.join(copy, "registry-cache.rules.test.yml")));
});

test("promtool understands every expression of the dashboard", { skip }, async (t) => {
  const dashboard = await readFile(path.join(folder, "../grafana/registry-cache.json"), "utf8");
  const { panels } = JSON.parse(dashboard) as { panels: { targets?: { expr: string }[] }[] };
  const rules = panels
    .flatMap(({ targets = [] }) => targets)
    .map(({ expr }, index) => ({
      record: `panel:${index}`,
      expr: expr.replaceAll("$__rate_interval", "5m").replaceAll("$__range", "1h").replaceAll("$instance", ".*"),
    }));
  const file = path.join(await tempDir(t), "dashboard.yml");
  // JSON is YAML.
  await writeFile(file, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
  assert.match((await run("check", "rules", file)).stdout, new RegExp(`SUCCESS: ${rules.length} rules found`));
});
