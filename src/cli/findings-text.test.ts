import assert from "node:assert/strict";
import { test } from "node:test";
import { problem, skipped, warning } from "../doctor/finding.ts";
import { areaText, conclusionText, wrapped } from "./findings-text.ts";

const PLAIN = { hasColors: false, isTerminal: false };
const NARROW = { hasColors: false, isTerminal: true, columns: () => 60 };
const COLORFUL = { hasColors: true, isTerminal: true, columns: () => 80 };

const area = {
  title: "Names",
  findings: [
    skipped("not looked at"),
    warning("a name", "mend it"),
    problem(
      "cache.example.com leads to 192.0.2.1, where another program answers",
      "let it lead to this machine, or take it away altogether",
    ),
  ],
};

test("elsewhere than on a terminal each finding, and each fix, is one line", () => {
  assert.equal(
    areaText(area, PLAIN),
    `
Names
  skipped  not looked at
  warning  a name
           fix: mend it
  problem  cache.example.com leads to 192.0.2.1, where another program answers
           fix: let it lead to this machine, or take it away altogether
`,
  );
});

test("on a terminal lines are wrapped below each other, within its width", () => {
  const text = areaText(area, NARROW);
  assert.match(
    text,
    /\n {2}problem {2}cache\.example\.com leads to 192\.0\.2\.1, where\n {11}another program answers\n {11}fix: let it lead to this machine, or take it\n {16}away altogether\n$/,
  );
  for (const line of text.split("\n")) assert.ok(line.length < 60);
  assert.equal(wrapped("a b", 11, { ...NARROW, columns: () => 20 }), "a b");
  const long = "x".repeat(200);
  assert.equal(wrapped(`a ${long} b`, 2, NARROW), `a\n  ${long}\n  b`);
});

test("colours are those of the levels", () => {
  assert.ok(areaText(area, COLORFUL).includes("\u001b[31mproblem\u001b[39m  cache"));
  assert.ok(conclusionText(0, 0, COLORFUL).includes("\u001b[32mall is well"));
});

test("what a name server says does not reach the terminal as it is", () => {
  assert.match(areaText({ title: "x", findings: [skipped("a\u001b[2Jb\nc")] }, NARROW), /a\\u\{1b\}\[2Jb\\u\{a\}c/);
});

test("how many there are", () => {
  assert.equal(conclusionText(1, 2, PLAIN), "\n1 problem, 2 warnings\n");
  assert.equal(conclusionText(0, 1, PLAIN), "\n0 problems, 1 warning\n");
  assert.equal(conclusionText(0, 0, PLAIN), "\nall is well\n");
});
