import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { EditError, type KeyPath, YamlEditor } from "./yaml-editor.ts";

function withSet(text: string, path: KeyPath, value: unknown, comment?: string): string {
  const editor = new YamlEditor(text);
  editor.set(path, value, comment);
  return editor.text;
}

function without(text: string, path: KeyPath, comment?: string): string {
  const editor = new YamlEditor(text);
  editor.remove(path, comment);
  return editor.text;
}

describe("a value", () => {
  for (const [title, text, path, value, expected] of [
    ["in place, with what stands behind it", "a: 1   # one\nb: 2\n", ["a"], 3, "a: 3   # one\nb: 2\n"],
    ["in quotes", "a: 'x'\n", ["a"], "y: z", 'a: "y: z"\n'],
    ["of a list over several lines", "a:\n  - 1\n  # two\n  - 2\nb: 3\n", ["a"], [4], "a: [4]\nb: 3\n"],
    ["of a list below its key's first letter", "a:\n- 1\n- 2\nb: 3\n", ["a"], [4], "a: [4]\nb: 3\n"],
    ["of a text over several lines", "a: |\n  x\n  y\nb: 3\n", ["a"], "z", "a: z\nb: 3\n"],
    ["that is empty", "a:\n# later\nb: 3\n", ["a"], 1, "a: 1\n# later\nb: 3\n"],
    ["below an empty key", "a: # all\n  # b: 1\nc: 3\n", ["a", "b"], 2, "a: # all\n  b: 2\n  # b: 1\nc: 3\n"],
    ["in braces", "a: { b: 1, c: 2 } # x\n", ["a", "b"], 3, "a: { b: 3, c: 2 } # x\n"],
    ["in braces over lines", "a: {\n  b: 1\n}\n", ["a", "c"], 3, "a: { b: 1, c: 3 }\n"],
    ["beside others in braces", "a: {b: '1', c: [ x ], }\n", ["a", "d"], 3, "a: {b: '1', c: [ x ], d: 3 }\n"],
    ["in empty braces", "a: {}\nb: 1\n", ["a", "c"], 3, "a: { c: 3 }\nb: 1\n"],
    ["two levels down in braces", "a: { b: { c: 1 } }\n", ["a", "b", "d"], 2, "a: { b: { c: 1, d: 2 } }\n"],
    ["of a file that is all in braces", "{ a: 1 }\n", ["b"], 2, "{ a: 1, b: 2 }\n"],
    ["of a file without a line break at its end", "a: 1", ["b"], 2, "a: 1\n\nb: 2\n"],
    [
      "of a mapping that goes deeper",
      "a:\n    b:\n        c: 1\n",
      ["a", "b", "d"],
      2,
      "a:\n    b:\n        c: 1\n        d: 2\n",
    ],
    ["instead of a mapping", "a:\n  b: 1\n  # c\nd: 2\n", ["a"], 1, "a: 1\nd: 2\n"],
  ] as const) {
    test(title, () => assert.equal(withSet(text, path, value), expected));
  }

  test("that is new at the top gets a comment, a space before it, and lines of its own", () => {
    assert.equal(withSet("a: 1\n", ["b", "c"], 2, "why\nso"), "a: 1\n\n# why\n# so\nb:\n  c: 2\n");
  });

  test("that says the same in another way is left alone", () => {
    for (const text of ["a: [ '1',   2 ]\n", "a:\n  - '1'\n  - 2\n"])
      assert.equal(withSet(text, ["a"], ["1", 2]), text);
  });

  test("with what means something to YAML is put in quotes", () => {
    for (const odd of [
      "a, b",
      "{x",
      "[x",
      "#x",
      "x: y",
      "- x",
      "yes",
      "1",
      "null",
      "",
      " x",
      "*x",
      "!x",
      "&x",
      "%x",
      "x\ny",
      "ä",
    ]) {
      const editor = new YamlEditor("");
      editor.set(["a"], odd);
      editor.set(["b"], [odd]);
      editor.set(["c"], { d: odd });
      assert.deepEqual([editor.get(["a"]), editor.get(["b"]), editor.get(["c", "d"])], [odd, [odd], odd], odd);
    }
  });
});

describe("what is taken away", () => {
  for (const [title, text, path, expected] of [
    ["goes with what is behind it, and leaves what is above", "# a\na: 1 # x\n# b\nb: 2\n", ["a"], "# a\n# b\nb: 2\n"],
    ["goes with what is below it", "a:\n  b: 1\n  # c\n\n# d\nd: 2\n", ["a"], "\n# d\nd: 2\n"],
    ["takes an empty mapping with it", "a:\n  b:\n    c: 1\nd: 2\n", ["a", "b", "c"], "d: 2\n"],
    ["out of braces", "a: { b: 1, c: 2 }\n", ["a", "b"], "a: { c: 2 }\n"],
    ["is not there", "a: 1\n", ["b"], "a: 1\n"],
  ] as const) {
    test(title, () => assert.equal(without(text, path), expected));
  }

  test("goes with the comment that came with it", () => {
    assert.equal(without("a: 1\n\n# why\nb: 2\n", ["b"], "why"), "a: 1\n");
    assert.equal(without("a: 1\n\n# mine\nb: 2\n", ["b"], "why"), "a: 1\n\n# mine\n");
  });
});

test("anchors that others refer to are not taken away, and what refers to them is changed alone", () => {
  const text = "a: &x { b: 1 }\nc: *x\n";
  assert.throws(() => without(text, ["a"]), EditError);
  const editor = new YamlEditor(text);
  editor.set(["c", "b"], 2);
  assert.deepEqual([editor.get(["a", "b"]), editor.get(["c", "b"])], [1, 2]);
});
