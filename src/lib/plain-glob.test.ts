import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { compileRepositoryGlob, compileTagGlob } from "./glob.ts";
import { compilePlainGlob } from "./plain-glob.ts";
import { ValueError } from "./value-error.ts";

test("it means what globs mean elsewhere", () => {
  // The library has rules of its own for neighbouring stars and for what is left out.
  const piece = fc.constantFrom("*", "?", "a", "b", "[ab]", "{a,b}", "{a,bv}", "-", "v");
  const component = fc.array(piece, { minLength: 1, maxLength: 5 }).map((all) => all.join("").replaceAll(/\*+/g, "*"));
  const name = fc.array(fc.constantFrom("a", "b", "-", "v"), { minLength: 1, maxLength: 6 }).map((all) => all.join(""));
  const several = <T>(one: fc.Arbitrary<T>) =>
    fc.array(one, { minLength: 1, maxLength: 4 }).map((all) => all.join("/"));
  prove(
    fc.property(several(component), several(name), (pattern, text) => {
      // With more of them it would be refused.
      fc.pre(pattern.split("{").length <= 6);
      for (const whole of pattern === "*" ? [] : [pattern, `**/a/${pattern}`, `${pattern}/a/**`]) {
        for (const longer of [text, `a/${text}`, `${text}/a`, `v/a/${text}`, `${text}/a/b/v`])
          assert.equal(compilePlainGlob(whole)(longer), compileRepositoryGlob(whole)(longer), `${whole} and ${longer}`);
      }
    }),
  );
  prove(
    fc.property(component, name, (pattern, text) => {
      assert.equal(compilePlainGlob(pattern)(text), compileTagGlob(pattern)(text), `${pattern} and ${text}`);
    }),
  );
});

test("brackets may leave out, and two stars are whole components", () => {
  const matches = (pattern: string, text: string) => compilePlainGlob(pattern)(text);
  assert.deepEqual(
    [matches("[!a]b", "cb"), matches("[^a]b", "ab"), matches("[a-c]", "b"), matches("[]]", "]")],
    [true, false, true, true],
  );
  assert.deepEqual(
    [matches("org/**", "org/a/b"), matches("org/*", "org/a/b"), matches("**", "a/b")],
    [true, false, true],
  );
});

test("no pattern takes long, and what would be long is refused", () => {
  assert.equal(compilePlainGlob(`${"*a".repeat(200)}*b`)("a".repeat(255)), false);
  assert.equal(compilePlainGlob(`${"**/a/".repeat(80)}b`)("a/".repeat(120)), false);
  for (const bad of ["{a,b}".repeat(10), "+(a)", "@(a|b)", "[a", "{a", "a}", "{a}", "{1..9}", "\\*"])
    assert.throws(() => compilePlainGlob(bad), ValueError, bad);
});
