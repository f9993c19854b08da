import assert from "node:assert/strict";
import { test } from "node:test";
import { isLoopback } from "./loopback.ts";

test("this machine's own addresses are told from names that only look like them", () => {
  for (const host of ["localhost", "127.0.0.1", "127.9.8.7", "::1", "[::1]"]) assert.ok(isLoopback(host), host);
  for (const host of ["127.0.0.1.example.com", "127.1", "10.0.0.7", "0.0.0.0", "::", "localhost.example.com", ""])
    assert.ok(!isLoopback(host), host);
});
