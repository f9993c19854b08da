import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { planOf } from "../../test/support/query-plan.ts";
import { imageGapsQuery, imageSizesQuery } from "./image-sizes.ts";
import { imagesQuery } from "./image-queries.ts";
import { IN_MEMORY, openSqliteDatabase } from "./sqlite.ts";

suite("questions for images", () => {
  test("read what they answer with, in order, and nothing else", async (t) => {
    const { reads } = await openSqliteDatabase(IN_MEMORY);
    t.after(async () => await reads.destroy());
    const after = { path: "docker.io/library/nginx", digest: "sha256:0" };
    const except = { fetchedWith: "clients", privateOf: ["ghcr"] };
    for (const query of [{}, { registryId: "dockerhub" }, { except }]) {
      const plan = await planOf(reads, imagesQuery(reads, { ...query, after, limit: 50 }));
      assert.match(plan[0] ?? "", /^SEARCH r USING INDEX sqlite_autoindex_repositories_1 \(path>\?\)$/);
      assert.ok(plan.includes("SEARCH m USING INDEX sqlite_autoindex_manifests_1 (repository_id=?)"));
      assert.doesNotMatch(plan.join("\n"), /SCAN|TEMP B-TREE/);
    }
    const sizes = await planOf(reads, { compile: () => imageSizesQuery([1, 2]).compile(reads) });
    const scanned = sizes.filter((step) => step.startsWith("SCAN"));
    assert.deepEqual(new Set(scanned), new Set(["SCAN tree", "SCAN contents"]));
    const gaps = await planOf(reads, { compile: () => imageGapsQuery([1, 2]).compile(reads) });
    assert.deepEqual(new Set(gaps.filter((step) => step.startsWith("SCAN"))), new Set(["SCAN tree", "SCAN named"]));
  });
});
