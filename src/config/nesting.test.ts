import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { tooDeepAt, unclosedAt } from "./nesting.ts";

test("what configurations look like is not too deep", () => {
  const text = `
listen: [127.0.0.1:5000, "[::1]:5000"]
registries:
  dockerhub: { tags: [{ match: "v[0-9]*", revalidate_after: 24h }] } # {{{{{{{{{{{{{{{{{{{{{{
  corp: { serves: a.example, upstream: "http://a.example" }
`;
  assert.equal(tooDeepAt(text), undefined);
});

test("thousands of lists beside each other are not nested", () => {
  assert.equal(tooDeepAt("a: [{}, {}]\n".repeat(2000)), undefined);
});

test("brackets inside each other are found where they become too many", () => {
  assert.equal(tooDeepAt(`a: ${"[".repeat(1000)}`), "a: ".length + 16);
  assert.equal(tooDeepAt(`a: ${"{".repeat(1000)}`), "a: ".length + 16);
});

test("brackets that are never closed add up over lines", () => {
  assert.notEqual(tooDeepAt("[{\n".repeat(100)), undefined);
});

test("explicit keys, which nest as well, are bounded", () => {
  assert.equal(tooDeepAt("? ".repeat(100)), 32);
});

test("brackets in texts and comments do not count", () => {
  const brackets = "{[".repeat(50);
  assert.equal(tooDeepAt(`a: "${brackets}"\nb: '${brackets}'\n# ${brackets}\nc: x${brackets}\n`), undefined);
  assert.equal(tooDeepAt(`a: |\n  ${brackets}\n`), undefined);
});

test("a bracket that is never closed is found where it opens", () => {
  assert.equal(unclosedAt("a: {}\nb: [1, {c: d}]\n"), undefined);
  assert.equal(unclosedAt("a: {}\nb: [1, {c: d}\n"), 9);
  assert.equal(unclosedAt("a:\n  b: { c: d\n  e: {}\n"), 8, "what follows further left does not close it");
  assert.equal(unclosedAt("a: \"{\"\nb: '['\n# {\n"), undefined);
});

test("the place is a bracket or question mark of the text, whatever stands before it", () => {
  const text = fc.string({
    maxLength: 60,
    unit: fc.constantFrom("{", "[", "]", "}", "? ", "a", ": ", "\n", '"', "'", "\u001f", "\u0002", "é", ",", "#", "- "),
  });
  prove(
    fc.property(text, (some) => {
      const offset = tooDeepAt(some.repeat(20));
      if (offset !== undefined) assert.match(some.repeat(20).slice(offset, offset + 1), /^[[{?]$/);
    }),
    500,
  );
});
