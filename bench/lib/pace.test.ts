import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Pace } from "./pace.ts";

/** 1000 bytes a second. */
function pace(burstMs = 0): Pace {
  return new Pace(1000, burstMs);
}

describe("Pace", () => {
  it("makes bytes wait for those before them, whoever they belong to", () => {
    const line = pace();
    assert.deepEqual([line.reserve(100, 5000), line.reserve(100, 5000), line.reserve(50, 5000)], [100, 200, 250]);
  });

  it("catches up with a timer that was late", () => {
    const line = pace(20);
    line.reserve(100, 5000);
    assert.equal(line.reserve(100, 5090), 90);
  });

  it("saves up no more than its burst while nobody asks", () => {
    const line = pace(20);
    line.reserve(1, 0);
    assert.equal(line.reserve(100, 60_000), 80);
  });
});
