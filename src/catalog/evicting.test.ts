import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { digest } from "../../test/contracts/catalog/samples.ts";
import { planOf } from "../../test/support/query-plan.ts";
import { tempDir } from "../../test/support/temp.ts";
import { leastUsedQuery, leavingBlobsQuery, looseBlobsQuery, wantedQuery } from "./evicting.ts";
import { namedManifestsQuery, referringQuery } from "./roots.ts";
import { openSqliteDatabase } from "./sqlite.ts";
import { leadingUsesQuery } from "./use-leading.ts";

/** The page itself, in the order of its index, and the values that are asked about. */
const OF_FEW_ROWS = /^SCAN (m USING INDEX manifests_unused_longest|b|u|(\d+ )?CONSTANT ROWS?)$/;

test("what eviction asks is looked up in indexes, never by going through a table", async (t) => {
  const { reads, writes } = await openSqliteDatabase(join(await tempDir(t), "catalog.sqlite"));
  t.after(async () => void (await Promise.all([reads.destroy(), writes.destroy()])));
  const after = { id: 1, lastUsedAtMs: 1 };
  const queries = {
    leastUsed: leastUsedQuery(reads, { limit: 9 }),
    leastUsedAfter: leastUsedQuery(reads, { after, limit: 9 }),
    named: namedManifestsQuery(reads, 1, ["a", "b"]),
    referring: referringQuery(reads, 1, ["a", "b"]),
    wanted: wantedQuery(reads, 1, [1, 2]),
    leavingBlobs: leavingBlobsQuery(reads, 1, [1, 2]),
    loose: looseBlobsQuery(reads, { after: { repositoryId: 1, digest: digest("a") }, limit: 9 }),
    leadingUses: { compile: () => leadingUsesQuery([{ repositoryId: 1, digest: "a", atMs: 1 }]).compile(reads) },
  };
  for (const [name, query] of Object.entries(queries)) {
    const plan = await planOf(reads, query);
    const scans = plan.filter((step) => step.startsWith("SCAN") && !OF_FEW_ROWS.test(step));
    const sorts = plan.filter((step) => /TEMP B-TREE FOR ORDER/.test(step));
    assert.deepEqual([scans, sorts], [[], []], name);
  }
});
