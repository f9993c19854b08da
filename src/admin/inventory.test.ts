import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { HeldTags } from "../catalog/catalog.ts";
import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName, Tag } from "../oci/reference.ts";
import { type Cursor, cursorText, type InventoryCatalog, inventoryOf, parseCursor } from "./inventory.ts";

/** So many repositories a registry, named in lexical order. */
function catalogOf(counts: Readonly<Record<string, number>>): InventoryCatalog & { largest: number } {
  const all = new Map(
    Object.entries(counts).map(([id, count]) => [
      id,
      Array.from({ length: count }, (_, index): HeldTags => {
        return { name: `${id}/r${String(index).padStart(4, "0")}` as RepositoryName, tags: ["latest" as Tag] };
      }),
    ]),
  );
  const catalog = {
    largest: 0,
    inventory: async ({ registryId, last = "", limit }: { registryId: string; last?: string; limit: number }) => {
      const found = (all.get(registryId) ?? []).filter(({ name }) => name > last).slice(0, limit);
      catalog.largest = Math.max(catalog.largest, found.length);
      return found;
    },
  };
  return catalog;
}

const IDS = ["c", "a", "b"];

function namesIn(repositories: ReadonlyMap<string, readonly HeldTags[]>): string[] {
  return [...repositories.values()].flat().map(({ name }) => name);
}

test("pages of any size, one after the other, are the whole inventory", async () => {
  const count = fc.integer({ min: 0, max: 230 });
  const limit = fc.integer({ min: 1, max: 150 });
  await fc.assert(
    fc.asyncProperty(fc.record({ a: count, b: count, c: count }), limit, async (counts, size) => {
      const catalog = catalogOf(counts);
      const whole = await inventoryOf(catalog, IDS, { limit: Infinity });
      assert.equal(whole.next, undefined);
      assert.deepEqual([...whole.repositories.keys()], IDS);
      const paged: string[] = [];
      let after: Cursor | undefined;
      do {
        const page = await inventoryOf(catalog, IDS, { limit: size, after });
        const names = namesIn(page.repositories);
        assert.ok(page.next === undefined ? names.length <= size : names.length === size);
        paged.push(...names);
        after = page.next === undefined ? undefined : parseCursor(cursorText(page.next), IDS);
      } while (after !== undefined);
      assert.deepEqual(paged, namesIn(whole.repositories));
      assert.equal(paged.length, counts.a + counts.b + counts.c);
    }),
    { numRuns: 50 },
  );
});

test("never asks for much at once, and lets other work happen in between", async () => {
  const catalog = catalogOf({ a: 1_000 });
  let turns = 0;
  const counting = setInterval(() => (turns += 1), 0);
  await inventoryOf(catalog, ["a"], { limit: Infinity });
  clearInterval(counting);
  assert.ok(catalog.largest <= 100);
  assert.ok(turns > 0);
});

test("a page of none is empty and followed by none", async () => {
  const page = await inventoryOf(catalogOf({ a: 3 }), IDS, { limit: 0 });
  assert.deepEqual([namesIn(page.repositories), page.next], [[], undefined]);
});

test("a place is a registry that is enabled, and a name in it", () => {
  assert.deepEqual(parseCursor("a/library/nginx", IDS), { registryId: "a", name: "library/nginx" });
  assert.deepEqual(parseCursor("a", IDS), { registryId: "a", name: "" });
  for (const text of ["", "d/library/nginx", "/a", "toString"]) {
    assert.throws(
      () => parseCursor(text, IDS),
      (error) => error instanceof RegistryError && error.status === 400,
    );
  }
});
