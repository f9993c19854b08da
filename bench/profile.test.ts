import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type CpuProfile, hottest, renderHot } from "./profile.ts";

const PROFILE: CpuProfile = {
  nodes: [
    { id: 1, callFrame: { functionName: "(idle)", url: "", lineNumber: -1 } },
    { id: 2, callFrame: { functionName: "send", url: "file:///home/me/cache/src/server/send.ts", lineNumber: 9 } },
    { id: 3, callFrame: { functionName: "", url: "node:fs", lineNumber: 0 } },
    { id: 4, callFrame: { functionName: "send", url: "file:///home/me/cache/src/server/send.ts", lineNumber: 9 } },
  ],
  samples: [1, 2, 3, 4],
  timeDeltas: [9000, 2000, 1000, 3000],
};

describe("a CPU profile", () => {
  it("adds up a function's own time wherever it was called from", () => {
    assert.deepEqual(hottest(PROFILE), [
      { name: "(idle)", ms: 9 },
      { name: "send src/server/send.ts:10", ms: 5 },
      { name: "(anonymous) node:fs:1", ms: 1 },
    ]);
  });

  it("is shown as shares of the time in which there was something to do", () => {
    const [busy, first] = renderHot(hottest(PROFILE)).split("\n");
    assert.equal(busy, "busy for 6 ms");
    assert.equal(first, "  83.3 %        5 ms  send src/server/send.ts:10");
  });
});
