import assert from "node:assert/strict";
import { it } from "node:test";
import { LIST_BYTES_MAX, saveList } from "../../../src/catalog/lists.ts";
import { repositoryIdOf } from "../../../src/catalog/repositories.ts";
import type { CatalogDb } from "../../../src/catalog/schema.ts";
import { digest, nginx, redis, type SetUp } from "./samples.ts";

export function lists(setUp: SetUp): void {
  it("remembers the newest list of each kind and key", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.saveList(nginx, "tags", "", { body: "[1]", atMs: 10 });
    await catalog.saveList(nginx, "tags", "", { body: "[2]", atMs: 20 });
    await catalog.saveList(nginx, "referrers", digest("m"), { body: "{}", atMs: 30 });
    assert.deepEqual(await catalog.list(nginx, "tags", ""), { body: "[2]", atMs: 20 });
    assert.deepEqual(await catalog.list(nginx, "referrers", digest("m")), { body: "{}", atMs: 30 });
    assert.equal(await catalog.list(nginx, "referrers", ""), undefined);
    assert.equal(await catalog.list(redis, "tags", ""), undefined);
  });

  it("does not remember a list that is too long, and keeps the one before", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.saveList(nginx, "tags", "", { body: "[]", atMs: 10 });
    await catalog.saveList(nginx, "tags", "", { body: "x".repeat(LIST_BYTES_MAX + 1), atMs: 20 });
    assert.deepEqual(await catalog.list(nginx, "tags", ""), { body: "[]", atMs: 10 });
  });

  it("forgets the oldest lists when there are too many or their bytes are", async (t) => {
    const { db } = await setUp(t);
    const id = await repositoryIdOf(db, nginx, 1);
    const save = async (key: string, atMs: number, limits: { listsMax: number; bytesMax: number }) =>
      await saveList(db, id, { kind: "tags", key }, { body: "12345", atMs }, limits);
    for (const [index, key] of ["c", "a", "b", "d"].entries()) {
      await save(key, 100 - index, { listsMax: 3, bytesMax: 1_000 });
    }
    assert.deepEqual(await listKeys(db), ["a", "b", "c"]);
    await save("e", 200, { listsMax: 9, bytesMax: 12 });
    assert.deepEqual(await listKeys(db), ["c", "e"]);
  });

  it("does not take a repository with nothing but a list for held", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.saveList(nginx, "tags", "", { body: "[]", atMs: 10 });
    assert.deepEqual(await catalog.repositories({ limit: 9 }), []);
    assert.equal(await catalog.isEmpty(), true);
  });
}

async function listKeys(db: CatalogDb): Promise<string[]> {
  const rows = await db.selectFrom("saved_lists").select("key").orderBy("key").execute();
  return rows.map((row) => row.key);
}
