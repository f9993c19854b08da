import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { nearly, prove } from "../../../test/support/property.ts";
import { KEEP_FRESH_MAX, parseKeepFresh, withEntries, withoutEntries } from "./keep-fresh-list.ts";

const NGINX = { reference: "docker.io/library/nginx:1.27", platforms: ["linux/amd64"] };
const APP = { reference: "ghcr.io/org/app:v1", platforms: "all" } as const;

suite("the list of what is kept fresh", () => {
  test("is a text that people read, and comes back as it was written", () => {
    const text = withEntries(parseKeepFresh(""), [NGINX, APP]) ?? "";
    assert.match(text, /^# Images that the cache keeps fresh/);
    assert.match(text, /^docker.io\/library\/nginx:1.27 linux\/amd64$/m);
    assert.deepEqual(parseKeepFresh(text).entries, [NGINX, APP]);
    assert.deepEqual(parseKeepFresh(text).badLines, []);
  });

  test("keeps what people have written into it, and says which lines it cannot read", () => {
    const mine = "# mine\n\nnginx linux/amd64,linux/arm64\nodd line of words\nx notaplatform\n";
    assert.deepEqual(parseKeepFresh(mine).badLines, [4, 5]);
    const text = withEntries(parseKeepFresh(mine), [APP]) ?? "";
    assert.equal(text, `${mine}ghcr.io/org/app:v1 all\n`);
    assert.equal(withoutEntries(parseKeepFresh(text), new Set([APP.reference])), mine);
  });

  test("has each image once, with the platforms that were said last", () => {
    const once = withEntries(parseKeepFresh(""), [NGINX, APP]) ?? "";
    const twice = withEntries(parseKeepFresh(once), [{ ...NGINX, platforms: ["linux/arm64"] }]) ?? "";
    assert.deepEqual(parseKeepFresh(twice).entries, [APP, { ...NGINX, platforms: ["linux/arm64"] }]);
  });

  test("has an end", () => {
    const many = Array.from({ length: KEEP_FRESH_MAX }, (_, at) => ({ ...NGINX, reference: `r${at}` }));
    const full = withEntries(parseKeepFresh(""), many);
    assert.ok(full !== undefined);
    assert.equal(withEntries(parseKeepFresh(full), [NGINX]), undefined);
    assert.deepEqual(parseKeepFresh(`${full}one-more linux/amd64\n`).badLines, [KEEP_FRESH_MAX + 3]);
  });

  test("loses no line of anybody's, whatever stands in it", () => {
    prove(
      fc.property(nearly(["# mine\nnginx linux/amd64\n\nodd\n", "a all\r\nb linux/arm/v7\n"]), (text) => {
        const before = parseKeepFresh(text);
        const after = parseKeepFresh(withEntries(before, [APP]) ?? "");
        assert.deepEqual(
          after.entries.filter(({ reference }) => reference !== APP.reference),
          before.entries,
        );
        const gone = parseKeepFresh(withoutEntries(after, new Set([APP.reference])));
        assert.deepEqual(gone.entries, before.entries);
      }),
    );
  });
});
