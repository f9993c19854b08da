import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { type LoggerOptions, loggerTo } from "./logger.ts";

function recorder(options: Pick<LoggerOptions, "format" | "level" | "colors">) {
  const lines: string[] = [];
  return { lines, log: loggerTo({ write: (line) => lines.push(line) }, options) };
}

test("JSON lines have the level's name, an ISO time and nothing about this process", () => {
  const { lines, log } = recorder({ format: "json", level: "info" });
  log.warn({ count: 3 }, "found");
  const { time, ...rest } = JSON.parse(lines[0] ?? "") as Record<string, unknown>;
  assert.deepEqual(rest, { level: "warn", count: 3, msg: "found" });
  assert.equal(new Date(String(time)).toISOString(), time);
});

test("pretty lines have time, level and message, and end with one line break", () => {
  const { lines, log } = recorder({ format: "pretty", level: "info" });
  log.info({ count: 3 }, "found");
  assert.match(lines.join(""), /^\d\d:\d\d:\d\d INFO: found {2}count=3\n$/);
});

test("pretty lines of requests are short", () => {
  const { lines, log } = recorder({ format: "pretty", level: "info" });
  log.info(
    { method: "GET", registry: "quay", repository: "a/b", reference: "1", outcome: "hit", status: 200 },
    "request",
  );
  assert.match(lines.join(""), /^\S+ INFO: GET {2}quay\/a\/b:1 {2}hit\n$/);
});

test("colours come on demand alone, and change nothing but colours", () => {
  const coloured = recorder({ format: "pretty", level: "info", colors: true });
  coloured.log.error({ err: new Error("x") }, "broken");
  const text = coloured.lines.join("");
  assert.notEqual(stripVTControlCharacters(text), text);
  assert.match(stripVTControlCharacters(text), /^\S+ ERROR: broken\n {4}Error: x\n/);
});

test("lines below the level are not written", () => {
  const { lines, log } = recorder({ format: "json", level: "warn" });
  log.info("a");
  log.warn("b");
  assert.equal(lines.length, 1);
});

test("silent means silent", () => {
  const { lines, log } = recorder({ format: "pretty", level: "silent" });
  log.fatal("a");
  assert.deepEqual(lines, []);
});

for (const format of ["json", "pretty"] as const) {
  test(`values of secret fields do not get into ${format} lines`, () => {
    const { lines, log } = recorder({ format, level: "info" });
    const secret = "hunter2";
    log.info({ authorization: secret, registry: { password: secret, token: secret } }, "a");
    log.info({ req: { headers: { authorization: secret } }, credentials: { username: "me", password: secret } }, "b");
    assert.equal(lines.length, 2);
    assert.doesNotMatch(lines.join(""), /hunter2/);
    assert.match(lines.join(""), /\*{8}/);
  });
}
