import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { configFolder, yaml } from "../../test/support/config-folder.ts";
import { resolveWorkers, WORKERS_MAX } from "./workers.ts";

test("one process answers, unless said otherwise", async (t) => {
  const folder = await configFolder(t);
  assert.equal((await folder.load()).workers, 1);
  assert.equal((await folder.load({ files: yaml("workers: 4") })).workers, 4);
  assert.equal((await folder.load({ files: yaml("workers: auto") })).workers, resolveWorkers(availableParallelism()));
});

test("the environment stands above the file", async (t) => {
  const folder = await configFolder(t);
  await folder.write(yaml("workers: 4"));
  assert.equal((await folder.load({ environment: { REGISTRY_CACHE_WORKERS: "7" } })).workers, 7);
  const { workers } = await folder.load({ environment: { REGISTRY_CACHE_WORKERS: "auto" } });
  assert.equal(workers, resolveWorkers("auto"));
});

test("auto is one a core, within the limit", () => {
  assert.equal(resolveWorkers("auto", 1), 1);
  assert.equal(resolveWorkers("auto", 12), 12);
  assert.equal(resolveWorkers("auto", 256), WORKERS_MAX);
  assert.equal(resolveWorkers(2, 256), 2);
});

for (const [written, said] of [
  ["0", '"0"'],
  ["65", '"65"'],
  ["2.5", '"2.5"'],
  ["all", '"all"'],
  ["[1]", "a list"],
  ["true", "`true`"],
] as const) {
  test(`workers: ${written} is refused`, async (t) => {
    const folder = await configFolder(t);
    assert.deepEqual(await folder.complaints({ files: yaml(`workers: ${written}`) }), [
      `error: registry-cache.yaml:1: workers: must be \`auto\` or a whole number from 1 to 64, not ${said}`,
      "hint: such as 4, or auto for one a core",
    ]);
  });
}

test("a number in quotes is refused in the file, and a text that is none in the environment", async (t) => {
  const folder = await configFolder(t);
  assert.deepEqual(await folder.complaints({ files: yaml('workers: "4"') }), [
    "error: registry-cache.yaml:1: workers: must be a number, not a text",
    "hint: write it without quotes",
  ]);
  await folder.write(yaml(""));
  assert.deepEqual(await folder.complaints({ environment: { REGISTRY_CACHE_WORKERS: "100" } }), [
    'error: REGISTRY_CACHE_WORKERS: must be `auto` or a whole number from 1 to 64, not "100"',
    "hint: such as 4, or auto for one a core",
  ]);
});
