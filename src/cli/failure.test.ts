import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError } from "../config/errors.ts";
import { CliError, failureOf } from "./failure.ts";

test("an error of the command line is told on one line", () => {
  assert.deepEqual(failureOf(new CliError("no")), { text: "error: no\n", exitCode: 1 });
});

test("its hint is told on a second line", () => {
  const error = new CliError("no", { hint: "try that", exitCode: 2 });
  assert.deepEqual(failureOf(error), { text: "error: no\nhint: try that\n", exitCode: 2 });
});

test("a wrong configuration is told problem by problem", () => {
  const place = { file: "a.yaml", column: 1 };
  const error = new ConfigError([
    { ...place, line: 2, path: "listen", message: "is wrong", hint: "put it right" },
    { ...place, line: 3, path: "data_dir", message: "is wrong", hint: undefined },
  ]);
  const text = "error: a.yaml:2: listen: is wrong\nhint: put it right\nerror: a.yaml:3: data_dir: is wrong\n";
  assert.deepEqual(failureOf(error), { text, exitCode: 2 });
});

test("a fault of our own is told as one, with what a report needs", () => {
  const error = new TypeError("x is not a function");
  error.stack = "TypeError: x is not a function\n    at y (z.ts:1:2)";
  assert.deepEqual(failureOf(error), {
    text: `error: x is not a function
hint: this is a fault in Registry Cache; please report it together with the lines below
    TypeError: x is not a function
        at y (z.ts:1:2)
`,
    exitCode: 1,
  });
});

test("what was thrown and is no error is told as well", () => {
  assert.match(failureOf("oops").text, /^error: oops\nhint: /);
});

test("control characters in a message do not reach the terminal", () => {
  assert.equal(failureOf(new CliError("a\u001b[2Jb\nc")).text, "error: a\\u{1b}[2Jb\\u{a}c\n");
});
