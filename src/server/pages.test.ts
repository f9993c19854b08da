import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { RegistryError } from "../oci/errors.ts";
import { nextPage, pageOf } from "./pages.ts";

const read = (query: string) => pageOf(new URLSearchParams(query));

test("n and last are read; without them nothing is said of either", () => {
  assert.deepEqual(read(""), { n: undefined, last: undefined });
  assert.deepEqual(read("n=10&last=1.0"), { n: 10, last: "1.0" });
  assert.deepEqual(read("n=0"), { n: 0, last: undefined });
  assert.deepEqual(read("n=007"), { n: 7, last: undefined });
});

test("an n that is no whole number is refused", () => {
  for (const n of ["-1", "1.5", "1e3", "+1", " 1", "", "x", "0x10", "١", "9999999999"]) {
    assert.throws(() => read(`n=${encodeURIComponent(n)}`), { status: 400, code: "PAGINATION_NUMBER_INVALID" }, n);
  }
});

test("an n beyond what one answer may hold is cut", () => {
  assert.equal(read("n=999999999").n, 100_000);
});

test("without an n there are 10,000 to a page", () => {
  const all = Array.from({ length: 10_001 }, (_, index) => String(index).padStart(5, "0"));
  const page = nextPage(all, { n: undefined, last: undefined });
  assert.deepEqual([page.items.length, page.items.at(-1), page.more], [10_000, "09999", true]);
  assert.deepEqual(nextPage(all, { n: undefined, last: "09999" }), { items: ["10000"], more: false });
});

test("n=0 is empty and says nothing of more", () => {
  assert.deepEqual(nextPage(["a", "b"], { n: 0, last: undefined }), { items: [], more: false });
});

test("last is exclusive, and need not be in the list", () => {
  assert.deepEqual(nextPage(["a", "c", "d"], { n: 1, last: "a" }), { items: ["c"], more: true });
  assert.deepEqual(nextPage(["a", "c", "d"], { n: 5, last: "b" }), { items: ["c", "d"], more: false });
  assert.deepEqual(nextPage(["a"], { n: 5, last: "z" }), { items: [], more: false });
});

test("no query throws anything but a refusal", () => {
  const anyQuery = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string().map((n) => `n=${n}`),
  );
  prove(
    fc.property(anyQuery, (query) => {
      try {
        const { n } = read(query);
        assert.ok(n === undefined || (Number.isSafeInteger(n) && n >= 0));
      } catch (error) {
        assert.ok(error instanceof RegistryError);
      }
    }),
  );
});

test("walking from page to page yields everything once and in order, whatever the size of the pages", () => {
  const lists = fc.uniqueArray(fc.string(), { maxLength: 60 }).map((all) => all.toSorted((a, b) => (a < b ? -1 : 1)));
  prove(
    fc.property(lists, fc.integer({ min: 1, max: 70 }), (all, n) => {
      const seen: string[] = [];
      for (let last: string | undefined, more = true; more; last = seen.at(-1)) {
        const page = nextPage(all, { n, last });
        assert.ok(page.items.length <= n);
        assert.ok(!page.more || page.items.length === n, "fewer than n mean that there is no more");
        seen.push(...page.items);
        more = page.more;
      }
      assert.deepEqual(seen, all);
    }),
  );
});
