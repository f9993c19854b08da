import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { digest } from "../../test/contracts/catalog/samples.ts";
import { planOf } from "../../test/support/query-plan.ts";
import { tempDir } from "../../test/support/temp.ts";
import { leadingTagsQuery, namingQuery, seenQueries } from "./leading.ts";
import { openSqliteDatabase } from "./sqlite.ts";

test("what leads to a digest is looked up in indexes by digest, never by going through a repository", async (t) => {
  const { reads, writes } = await openSqliteDatabase(join(await tempDir(t), "catalog.sqlite"));
  t.after(async () => void (await Promise.all([reads.destroy(), writes.destroy()])));
  const digests = ["a", "b"].map(digest);
  const steps = async (query: Parameters<typeof planOf>[1]) =>
    (await planOf(reads, query)).filter((step) => /^(SCAN|SEARCH)/.test(step));
  assert.deepEqual(await steps(namingQuery(reads, 1, digests)), [
    "SEARCH n USING INDEX manifest_references_named (repository_id=? AND digest=?)",
    "SEARCH m USING INTEGER PRIMARY KEY (rowid=?)",
  ]);
  const BY_DIGEST = "(repository_id=? AND digest=?)";
  assert.deepEqual(
    await Promise.all(
      (["tags", "tag_history"] as const).map((table) => steps(leadingTagsQuery(reads, table, 1, digests))),
    ),
    [
      [`SEARCH tags USING COVERING INDEX tags_by_digest ${BY_DIGEST}`, "SCAN l"],
      [`SEARCH tag_history USING COVERING INDEX tag_history_by_digest ${BY_DIGEST}`, "SCAN l"],
    ],
  );
  assert.deepEqual(await Promise.all(seenQueries(reads, 1, digests).map(steps)), [
    [`SEARCH manifests USING INDEX sqlite_autoindex_manifests_1 ${BY_DIGEST}`],
    [`SEARCH tags USING COVERING INDEX tags_by_digest ${BY_DIGEST}`, "SEARCH seen"],
    [`SEARCH tag_history USING COVERING INDEX tag_history_by_digest ${BY_DIGEST}`, "SEARCH seen"],
  ]);
});
