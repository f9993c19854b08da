import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { curlArguments, parseTransfers, wholeTransfers } from "./curl.ts";
import { requestsFor } from "./head.ts";

describe("curl", () => {
  it("fetches several URLs at once, each body to nowhere", () => {
    const args = curlArguments(["http://a/", "http://b/"], ["--limit-rate", "1M"]);
    assert.deepEqual(args.slice(-6), ["-o", "/dev/null", "http://a/", "-o", "/dev/null", "http://b/"]);
    assert.ok(args.includes("--parallel-immediate"), "all connections are opened at once");
    assert.equal(args[args.indexOf("--parallel-max") + 1], "2");
  });

  it("reads a line a transfer and nothing else", () => {
    assert.deepEqual(parseTransfers("200 1048576 0.046300 0.067000\ncurl: (28) timed out\n404 19 0.01 0.01\n"), [
      { status: 200, bytes: 1_048_576, firstByteSeconds: 0.0463, seconds: 0.067 },
      { status: 404, bytes: 19, firstByteSeconds: 0.01, seconds: 0.01 },
    ]);
  });

  it("accepts a crowd only when everyone has all of it", () => {
    const finished = { stdout: "200 10 0.1 0.2\n200 9 0.1 0.2\n", stderr: "", exitCode: 18, wallSeconds: 1 };
    assert.throws(() => wholeTransfers(finished, 2, 10), /1 of 2 transfers were whole/);
    assert.equal(wholeTransfers({ ...finished, stdout: "200 10 0.1 0.2\n" }, 1, 10).length, 1);
  });
});

describe("requestsFor", () => {
  it("fills the time, within bounds", () => {
    assert.equal(requestsFor(15_000, 4), 60_000);
    assert.equal(requestsFor(10, 4), 500);
    assert.equal(requestsFor(10_000_000, 100), 2_000_000);
  });
});
