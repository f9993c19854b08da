import assert from "node:assert/strict";
import { test } from "node:test";
import { HOLDS_MARK, SHOWN_MARK } from "./fault.ts";
import { Table } from "./table.ts";

test("a row takes what its test said and how it ended, whatever another file says meanwhile", () => {
  const table = new Table();
  table.take({ type: "test:pass", data: { name: "upstream: refused", file: "a.ts" } });
  table.take({ type: "test:fail", data: { name: "disk: full", file: "b.ts" } });
  table.take({ type: "test:diagnostic", data: { message: `${HOLDS_MARK}502 | 504`, file: "a.ts" } });
  table.take({ type: "test:diagnostic", data: { message: `${SHOWN_MARK}12 ms`, file: "a.ts" } });
  table.take({ type: "test:diagnostic", data: { message: `${SHOWN_MARK}p99 3 ms`, file: "a.ts" } });
  table.take({ type: "test:diagnostic", data: { message: "tests 2" } });
  assert.equal(table.isPassed, false);
  const rows = table
    .text(new Date("2026-02-03T04:05:06Z"))
    .split("\n")
    .filter((line) => line.startsWith("| ") && line.includes(": "));
  assert.deepEqual(rows, [
    "| upstream: refused | 502 \\| 504 | 12 ms; p99 3 ms | held |",
    "| disk: full |  |  | **FAILED** |",
  ]);
});

test("a table without rows is no proof", () => {
  assert.equal(new Table().isPassed, false);
});
