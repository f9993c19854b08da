import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { versionProblem } from "./node-version.ts";

test("what package.json names is good enough, and older ones are told what to do", async () => {
  const { engines } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8")) as {
    engines: { node: string };
  };
  assert.equal(engines.node, "^24.15.0 || >=26.0.0", "node-version.ts says the same in numbers");
  for (const good of ["24.15.0", "24.99.1", "26.0.0", "27.1.0", process.versions.node]) {
    assert.equal(versionProblem(good), undefined, good);
  }
  for (const bad of ["20.19.2", "22.22.0", "24.14.9", "25.9.0"]) {
    assert.match(String(versionProblem(bad)), new RegExp(`^error: .* this is ${bad}\nhint: .*\n$`), bad);
  }
});
