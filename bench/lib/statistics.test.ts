import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pairwise, spreadOf } from "./statistics.ts";

describe("spreadOf", () => {
  it("is the middle one of an odd number, with the least and the most", () => {
    assert.deepEqual(spreadOf([9, 1, 4]), { median: 4, min: 1, max: 9 });
  });

  it("lies between the two in the middle of an even number", () => {
    assert.deepEqual(spreadOf([10, 1, 4, 2]), { median: 3, min: 1, max: 10 });
  });

  it("is the figure itself where there is one", () => {
    assert.deepEqual(spreadOf([7]), { median: 7, min: 7, max: 7 });
  });

  it("is undefined without figures", () => {
    assert.equal(spreadOf([]), undefined);
  });
});

describe("pairwise", () => {
  const divide = (our: number, their: number): number => our / their;

  it("compares round by round: a machine that was slow once does not tilt it", () => {
    assert.deepEqual(pairwise([100, 10, 100], [50, 5, 50], divide), { median: 2, min: 2, max: 2 });
  });

  it("leaves out rounds in which either side failed", () => {
    assert.deepEqual(pairwise([8, undefined, 6], [4, 1, undefined], divide), { median: 2, min: 2, max: 2 });
  });

  it("is undefined where no round has both", () => {
    assert.equal(pairwise([1], [], divide), undefined);
  });
});
