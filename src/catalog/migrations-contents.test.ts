import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { sql } from "kysely";
import { indexOf } from "../../test/contracts/catalog/contents.ts";
import { digest, image, nginx, record, redis, repository } from "../../test/contracts/catalog/samples.ts";
import { tempDir } from "../../test/support/temp.ts";
import { openSqliteCatalog, openSqliteDatabase } from "./sqlite.ts";

test("a catalog from before is told what it holds, and which of its manifests are roots", async (t) => {
  const path = join(await tempDir(t), "catalog.sqlite");
  const before = await openSqliteCatalog(path);
  for (const where of [nginx, redis, repository("app", "ghcr", "ghcr.io")]) {
    await before.recordManifest(record(where, "child", { manifest: image("layer") }));
    await before.recordManifest(record(where, "index", { manifest: indexOf("child") }));
    await before.recordManifest(record(where, "note", { manifest: { ...image("n"), subject: digest("child") } }));
    await before.recordBlob({ repository: where, digest: digest("layer"), size: 7, fetchedWith: undefined, atMs: 10 });
  }
  const held = await before.heldBytes();
  const roots = await before.leastUsed({ limit: 99 });
  await before.close();
  const { reads, writes } = await openSqliteDatabase(path);
  for (const statement of [
    "drop table contents",
    "drop table content_sizes",
    "drop index manifests_unused_longest",
    "drop index manifests_by_subject",
    "alter table manifests drop column is_root",
    // What versions after it have added.
    "alter table tags drop column vanished_at_ms",
    "alter table tag_history drop column vanished_at_ms",
    "alter table manifest_references drop column platform",
    ...["day_counters", "all_time_counters", "pullers", "manifest_pulls", "tag_pulls"].map(
      (one) => `drop table ${one}`,
    ),
    "delete from schema_versions where version > 5",
  ])
    await sql.raw(statement).execute(writes);
  await Promise.all([reads.destroy(), writes.destroy()]);
  const after = await openSqliteCatalog(path);
  t.after(() => after.close());
  assert.deepEqual(held.byRegistry.get("ghcr"), { bytes: 307, contents: 4 });
  assert.deepEqual(await after.heldBytes(), held);
  assert.equal(roots.length, 3);
  assert.deepEqual(await after.leastUsed({ limit: 99 }), roots);
});
