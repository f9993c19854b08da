import assert from "node:assert/strict";
import { test } from "node:test";
import { type LineColors, logLine } from "./log-lines.ts";

const keep = (text: string) => text;
const PLAIN: LineColors = { bold: keep, dim: keep, green: keep, yellow: keep, red: keep };
const MARKED: LineColors = {
  bold: (text) => `<b ${text}>`,
  dim: (text) => `<d ${text}>`,
  green: (text) => `<g ${text}>`,
  yellow: (text) => `<y ${text}>`,
  red: (text) => `<r ${text}>`,
};

const pull = {
  level: 30,
  time: 0,
  msg: "request",
  method: "GET",
  registry: "dockerhub",
  repository: "library/alpine",
  reference: "latest",
  outcome: "miss",
  bytes: 9_218,
  status: 200,
  durationMs: 1_240,
  client: "127.0.0.1",
};
const digest = `sha256:4abcdef01234${"0".repeat(52)}`;

for (const [what, record, line] of [
  ["a pull by tag", pull, "GET  dockerhub/library/alpine:latest  miss  9.0 KiB  1.2 s  127.0.0.1"],
  [
    "a pull by digest, with the first digits",
    { ...pull, reference: digest, outcome: "hit" },
    "GET  dockerhub/library/alpine@sha256:4abcdef01234…  hit  9.0 KiB  1.2 s  127.0.0.1",
  ],
  [
    "a client that left",
    { ...pull, aborted: true },
    "GET  dockerhub/library/alpine:latest  miss  client left  9.0 KiB  1.2 s  127.0.0.1",
  ],
  [
    "an IPv4 client on a socket for both families",
    { ...pull, client: "::ffff:10.0.0.7" },
    "GET  dockerhub/library/alpine:latest  miss  9.0 KiB  1.2 s  10.0.0.7",
  ],
  [
    "a client of which the address is not known any more",
    { ...pull, client: undefined },
    "GET  dockerhub/library/alpine:latest  miss  9.0 KiB  1.2 s",
  ],
  [
    "a failure with its reason last",
    { ...pull, outcome: undefined, status: 502, error: "upstream failed" },
    "GET  dockerhub/library/alpine:latest  502  9.0 KiB  1.2 s  127.0.0.1  upstream failed",
  ],
  [
    "a list of tags",
    { ...pull, reference: undefined, endpoint: "tags" },
    "GET  dockerhub/library/alpine tags/list  miss  9.0 KiB  1.2 s  127.0.0.1",
  ],
  [
    "a client that asks whether this is a registry",
    { ...pull, repository: undefined, reference: undefined, outcome: undefined, endpoint: "ping" },
    "GET  dockerhub ping  200  9.0 KiB  1.2 s  127.0.0.1",
  ],
  [
    "a path that nobody understood, below a registry that is known",
    { ...pull, repository: undefined, reference: undefined, outcome: undefined, status: 400, path: "/v2/A/tags/list" },
    "GET  /v2/A/tags/list  400  9.0 KiB  1.2 s  127.0.0.1",
  ],
  [
    "a manifest, as what it is by itself",
    { ...pull, endpoint: "manifest" },
    "GET  dockerhub/library/alpine:latest  miss  9.0 KiB  1.2 s  127.0.0.1",
  ],
  [
    "a path that is not of the registry API",
    { msg: "request", method: "GET", path: "/healthz", status: 200, bytes: 15, durationMs: 1, client: "::1" },
    "GET  /healthz  200  15 B  1 ms  ::1",
  ],
] as const) {
  test(`the access log shows ${what} on one line`, () => assert.equal(logLine(record, "msg", PLAIN), line));
}

test("what went well, badly and in between is told by colours", () => {
  const lineOf = (record: object) => logLine({ ...pull, ...record }, "msg", MARKED);
  assert.match(lineOf({}), /<b dockerhub\/library\/alpine:latest> {2}<g miss>/);
  assert.match(lineOf({ outcome: "stale-timeout" }), /<y stale-timeout>/);
  assert.match(lineOf({ outcome: undefined, status: 404 }), /<r 404>/);
});

test("escape sequences from a client do not reach the terminal", () => {
  const line = logLine({ msg: "request", method: "GET", path: "/\u001b]0;owned\u0007\n", status: 404 }, "msg", PLAIN);
  assert.equal(line, "GET  /\\u{1b}]0;owned\\u{7}\\u{a}  404");
});

test("other lines are the message and its details", () => {
  const record = { level: 30, time: 0, msg: "rebuilt", count: 3, from: "/a b", names: ["x"], id: "y", none: "" };
  assert.equal(logLine(record, "msg", PLAIN), `rebuilt  count=3  from="/a b"  names=["x"]  id=y  none=""`);
});

test("a detail that says the same as the message is shown all the same", () => {
  assert.equal(logLine({ msg: "stopped", state: "stopped" }, "msg", PLAIN), "stopped  state=stopped");
});

test("an error's stack follows, indented and with its control characters spelled out", () => {
  const err = { type: "Error", message: "x", stack: "Error: \u001bx\n    at y" };
  assert.equal(logLine({ msg: "broken", err }, "msg", PLAIN), "broken\n    Error: \\u{1b}x\n        at y");
});

test("an error without a stack is shown by its message", () => {
  assert.equal(logLine({ msg: "broken", err: { message: "x" } }, "msg", PLAIN), "broken\n    x");
});
