import assert from "node:assert/strict";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { runCommand } from "../../test/support/command.ts";
import { tempDir } from "../../test/support/temp.ts";
import type { ReindexReport } from "../upkeep/reindex-report.ts";
import { summary } from "./reindex.ts";

const report: ReindexReport = {
  repositories: 1,
  manifests: 2,
  tags: 1,
  blobs: 12,
  bytes: 3_565_158,
  problems: [],
  problemCount: 0,
};

test("a rebuilt catalog is summed up on one line", () => {
  assert.equal(summary(report), "catalog rebuilt: 1 repository, 2 manifests, 1 tag, 12 blobs, 3.4 MiB\n");
});

test("problems are counted on a second line", () => {
  assert.equal(
    summary({ ...report, repositories: 0, problemCount: 1 }),
    "catalog rebuilt: 0 repositories, 2 manifests, 1 tag, 12 blobs, 3.4 MiB\n1 problem in the store, passed over\n",
  );
});

test("without a data folder there is nothing to reindex, and none is made", async (t) => {
  const cwd = await tempDir(t);
  const { exitCode, out, err } = await runCommand(t, ["reindex"], { cwd });
  assert.deepEqual([exitCode, out], [1, ""]);
  assert.match(err, /^error: .*\/data: no such folder, so there is nothing to read\nhint: set `data_dir`/);
  assert.deepEqual(await readdir(cwd), []);
});

test("reindex reports what it found: the report on standard output, the log on standard error", async (t) => {
  const cwd = await tempDir(t);
  // A name that no repository can have, with a folder of manifests that would make it one.
  const broken = join(cwd, "data/docker/registry/v2/repositories/docker.io/UPPER/_manifests/tags");
  await mkdir(broken, { recursive: true });
  const { exitCode, out, err } = await runCommand(t, ["reindex", "--json"], { cwd });
  assert.equal(exitCode, 0);
  const printed = JSON.parse(out) as Record<string, unknown>;
  assert.equal(printed["repositories"], 0);
  assert.equal(printed["problemCount"], 1);
  const { level, kind, msg } = JSON.parse(err) as Record<string, unknown>;
  assert.deepEqual({ level, kind, msg }, { level: "warn", kind: "bad-name", msg: "found in the store" });
});
