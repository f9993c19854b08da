import assert from "node:assert/strict";
import { test } from "node:test";
import { parseEnv } from "node:util";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { ValueError } from "../lib/value-error.ts";
import { editEnv } from "./env-file.ts";

const TEXT = `# mine
export A = 'old'
B=1 # not a comment
A=older
C="two
A=lines"
`;

test("the last assignment is replaced, those before it go, and everything else stays", () => {
  const text = "# mine\nexport A = 'old'\nB=1\n\nA=older\nC=3";
  assert.equal(editEnv(text, new Map([["A", "new"]])), "# mine\nB=1\n\nA=new\nC=3\n");
  assert.equal(editEnv(text, new Map([["D", "new"]])), `${text}\nD=new\n`);
  assert.equal(editEnv(text, new Map([["A", undefined]])), "# mine\nB=1\n\nC=3\n");
  assert.equal(
    editEnv(
      text,
      new Map([
        ["A", "older"],
        ["E", undefined],
      ]),
    ),
    text,
  );
});

test("a new file says what it is for, and one without a variable is none", () => {
  assert.match(editEnv("", new Map([["A", "x"]])), /^# .*\nA=x\n$/);
  assert.equal(editEnv("", new Map([["A", undefined]])), "");
});

test("a value over several lines that looks like an assignment is not broken", () => {
  assert.throws(() => editEnv(TEXT, new Map([["A", "new"]])), { name: "EditError" });
});

test("what has every kind of quote in it is refused", () => {
  assert.throws(() => editEnv("", new Map([["A", "'`\""]])), ValueError);
});

test("whatever the value, it is read as it was written, beside whatever else there is", () => {
  const value = fc
    .string({ unit: "grapheme", maxLength: 20 })
    .filter((text) => !/\p{Cc}/u.test(text) && !(/'/.test(text) && /`/.test(text)));
  const name = fc.constantFrom("A", "B", "REGISTRY_CACHE_GHCR_PASSWORD");
  prove(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 6 }), (changes) => {
      let text = "# first\nB='x' \n";
      const expected: Record<string, string> = { B: "x" };
      for (const [key, its] of changes) {
        text = editEnv(text, new Map([[key, its]]));
        expected[key] = its;
      }
      assert.deepEqual({ ...parseEnv(text) }, expected);
      assert.ok(text.startsWith("# first\n"));
    }),
  );
});
