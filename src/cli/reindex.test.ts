import assert from "node:assert/strict";
import { test } from "node:test";
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
  assert.equal(summary(report), "catalog rebuilt: 1 repository, 2 manifests, 1 tag, 12 layers, 3.4 MiB\n");
});

test("problems are counted on a second line", () => {
  assert.equal(
    summary({ ...report, repositories: 0, problemCount: 1 }),
    "catalog rebuilt: 0 repositories, 2 manifests, 1 tag, 12 layers, 3.4 MiB\n1 problem in the store, passed over\n",
  );
});
