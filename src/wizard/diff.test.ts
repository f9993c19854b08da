import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { diff, envDiff, said } from "./diff.ts";

test("lines that change are shown with those beside them, and without those far away", () => {
  const before = "a\nb\nc\nd\ne\nf\ng\n";
  assert.equal(diff(before, "a\nB\nc\nd\ne\nf\nh\ng\n"), "  a\n- b\n+ B\n  c\n  ...\n  f\n+ h\n  g");
  assert.equal(diff(before, before), "");
  assert.equal(diff("", "a\n"), "+ a");
});

test("what is shown makes the one of the other", () => {
  const text = fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 8 });
  prove(
    fc.property(text, text, (before, after) => {
      const shown = diff(before.join("\n"), after.join("\n")).split("\n");
      const count = (mark: string) => shown.filter((line) => line.startsWith(mark)).length;
      assert.equal(before.length - count("-") + count("+"), after.length);
      for (const one of ["a", "b", "c", "d"]) {
        const of = (lines: readonly string[]) => lines.filter((line) => line === one).length;
        const changed =
          of(shown.map((line) => line.replace(/^\+ /, ""))) - of(shown.map((line) => line.replace(/^- /, "")));
        assert.equal(of(before) + changed, of(after), one);
      }
    }),
  );
});

test("of variables the names are shown, and never a value", () => {
  const shown = envDiff("A=1\nB=2\nC=3\n", "A=1\nB=secret\nD=hidden\n");
  assert.equal(shown, "+ B=********\n- C\n+ D=********");
});

test("of a new file is shown what it says, and not what it explains", () => {
  assert.equal(said("# x\n\na: 1\nb:\n  # y\n  c: 2\n"), "a: 1\nb:\n  # y\n  c: 2");
});
