import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { printable } from "./printable.ts";

test("readable text of any language stays as it is", () => {
  const text = "/v2/docker.io/größe 漢字 🐳";
  assert.equal(printable(text), text);
});

for (const [what, text, shown] of [
  ["an escape sequence", "a\u001b[31mred", "a\\u{1b}[31mred"],
  ["the one-byte form of an escape sequence", "a\u009b31m", "a\\u{9b}31m"],
  ["a line break", "a\r\nb", "a\\u{d}\\u{a}b"],
  ["a change of the writing direction", "a\u202eb", "a\\u{202e}b"],
  ["half of a surrogate pair", "a\ud83d", "a\\u{d83d}"],
] as const) {
  test(`${what} is spelled out`, () => assert.equal(printable(text), shown));
}

test("whatever comes in, one line without control characters comes out", () => {
  prove(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.doesNotMatch(printable(text), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    }),
  );
});
