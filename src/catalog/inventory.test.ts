import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { asTag, digest, nginx, record, redis, repository } from "../../test/contracts/catalog/samples.ts";
import { planOf } from "../../test/support/query-plan.ts";
import { tempDir } from "../../test/support/temp.ts";
import type { HeldSnapshot } from "./catalog.ts";
import { heldTagCountsQuery, heldTagsQuery, repositoriesQuery } from "./inventory.ts";
import { namedByQuery } from "./manifests.ts";
import { SqlCatalog } from "./sql-catalog.ts";
import { openSqliteDatabase } from "./sqlite.ts";

describe("the catalog with 100,000 tags", () => {
  const repositories = 400;
  const tagsEach = 250;

  async function* manyTags(): AsyncIterable<HeldSnapshot> {
    for (let index = 0; index < repositories; index += 1) {
      const { digest: held, ...rest } = record(nginx, `m${index}`);
      yield {
        repository: repository(`many/r${index}`),
        manifests: [{ ...rest, digest: held }],
        blobs: [],
        tags: Array.from({ length: tagsEach }, (_, tag) => ({ tag: asTag(`1.${tag}`), digest: held, atMs: 10 })),
      };
    }
  }

  it("answers counts, inventory, listings and proofs from indexes alone", async (t) => {
    const { reads, writes } = await openSqliteDatabase(join(await tempDir(t), "catalog.sqlite"));
    const catalog = new SqlCatalog({ reads, writes, now: Date.now });
    t.after(() => catalog.close());
    await catalog.replaceHeld(manyTags());
    const [counts, countMs] = await timed(() => catalog.countImages());
    const [rows, inventoryMs] = await timed(() => catalog.inventory({ registryId: "dockerhub", limit: 1_000 }));
    t.diagnostic(`countImages: ${countMs.toFixed(1)} ms, inventory: ${inventoryMs.toFixed(1)} ms`);
    assert.equal(counts.get("dockerhub"), repositories * tagsEach);
    assert.equal(rows.flatMap(({ tags }) => tags).length, repositories * tagsEach);

    assert.deepEqual(await planOf(reads, heldTagCountsQuery(reads)), ["SCAN tags USING COVERING INDEX tags_held"]);
    const page = await planOf(reads, heldTagsQuery(reads, { registryId: "dockerhub", last: "many/r1", limit: 100 }));
    assert.deepEqual(
      page.filter((step) => /^(SCAN|SEARCH|USE)/.test(step)),
      [
        "SEARCH r USING COVERING INDEX repositories_by_registry (registry_id=? AND name>?)",
        "SEARCH t EXISTS USING COVERING INDEX tags_held (repository_id=?)",
        "SEARCH t USING COVERING INDEX tags_held (repository_id=?)",
      ],
    );
    const proof = await planOf(reads, namedByQuery(reads, redis, digest("b")));
    assert.deepEqual(proof, [
      "SEARCH r USING COVERING INDEX sqlite_autoindex_repositories_1 (path=?)",
      "SEARCH n USING COVERING INDEX manifest_references_named (repository_id=? AND digest=?)",
    ]);
    const listing = await planOf(reads, repositoriesQuery(reads, { last: "docker.io/many/r1", limit: 100 }));
    assert.match(listing[0] ?? "", /^SEARCH r USING INDEX sqlite_autoindex_repositories_1 \(path>\?\)$/);
    assert.doesNotMatch(listing.join("\n"), /SCAN|TEMP B-TREE/);
    const except = { fetchedWith: "clients", privateOf: ["dockerhub"] };
    const shortened = await planOf(reads, repositoriesQuery(reads, { last: "docker.io/many/r1", limit: 100, except }));
    assert.deepEqual(
      shortened.filter((step) => step.includes(" f ")),
      [
        "SEARCH f USING COVERING INDEX manifests_by_fetcher (fetched_with=?)",
        "SEARCH f USING COVERING INDEX manifests_by_fetcher (fetched_with>?)",
      ],
    );
  });
});

async function timed<T>(run: () => Promise<T>): Promise<[T, number]> {
  const startMs = performance.now();
  return [await run(), performance.now() - startMs];
}
