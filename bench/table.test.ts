import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CandidateName } from "./candidates/candidate.ts";
import { judge } from "./requirement.ts";
import type { Figures, Requirement, Row } from "./rows/row.ts";
import { rotated, type Measured } from "./run.ts";
import { formatFigure, renderTable, verdictText } from "./table.ts";

const SIX_TIMES: Requirement = {
  line: "rate",
  text: ">= 6 x registry:2",
  compare: "ratio",
  to: "registry:2",
  atLeast: 6,
};

function measured(
  figures: Partial<Record<CandidateName, (Figures | undefined)[]>>,
  mustReach: Requirement[],
): Measured {
  const row: Row = {
    name: "a row",
    lines: [{ id: "rate", label: "requests/s", unit: "per second" }],
    mustReach,
    candidates: ["ours", "registry:2", "zot"],
    run: () => Promise.reject(new Error("not in this test")),
  };
  return { row, figures: new Map(Object.entries(figures) as [CandidateName, Figures[]][]), failures: new Map() };
}

function rates(...values: number[]): Figures[] {
  return values.map((rate) => ({ rate }));
}

describe("a requirement", () => {
  it("is decided by the median of the rounds' ratios, not by the ratio of medians", () => {
    const both = measured({ ours: rates(60, 600, 70), "registry:2": rates(10, 101, 10) }, [SIX_TIMES]);
    const { found, reached } = judge(both, SIX_TIMES);
    assert.equal(found?.median, 6);
    assert.equal(reached, true);
  });

  it("is not reached below its bound", () => {
    const both = measured({ ours: rates(59), "registry:2": rates(10) }, [SIX_TIMES]);
    assert.equal(judge(both, SIX_TIMES).reached, false);
  });

  it("may bound a difference or ours alone", () => {
    const both = measured({ ours: rates(55), "registry:2": rates(51) }, []);
    const close = { ...SIX_TIMES, compare: "difference", atLeast: 0, atMost: 5 } as const;
    assert.equal(judge(both, close).reached, true);
    assert.equal(judge(both, { line: "rate", text: "<= 50", compare: "value", atMost: 50 }).reached, false);
  });

  it("is neither reached nor missed where the other one has no figure", () => {
    const verdict = judge(measured({ ours: rates(1) }, [SIX_TIMES]), SIX_TIMES);
    assert.equal(verdict.reached, undefined);
    assert.equal(verdictText(verdict, "per second"), ">= 6 x registry:2: not measured");
  });
});

describe("renderTable", () => {
  it("has a column for each candidate, the missing ones too, with spread, ratio to ours and verdict", () => {
    const both = measured({ ours: rates(1000, 1200, 1100), "registry:2": rates(100, 100, 100) }, [SIX_TIMES]);
    assert.deepEqual(renderTable([both], [{ name: "zot", reason: "no Go" }]).split("\n"), [
      "|  | ours | registry:2 | zot | must reach |",
      "| --- | --- | --- | --- | --- |",
      "| **a row**: requests/s | 1,100/s (1,000/s..1,200/s) | 100/s, 0.09x | not there " +
        "| >= 6 x registry:2: yes, 11.0x (10.0x..12.0x) |",
    ]);
  });

  it("says where a candidate failed", () => {
    const failed = { ...measured({ ours: [undefined] }, []), failures: new Map([["ours", "it did"] as const]) };
    assert.match(renderTable([failed], []), /\| failed \|/);
  });
});

describe("formatFigure", () => {
  it("writes three digits in a fitting unit", () => {
    assert.equal(formatFigure(1_234_567_890, "bytes per second"), "1.23 GB/s");
    assert.equal(formatFigure(37_400_000, "bytes"), "37.4 MB");
    assert.equal(formatFigure(15_432.1, "per second"), "15,432/s");
    assert.equal(formatFigure(0.0451, "seconds"), "0.05 s");
    assert.equal(formatFigure(46.28, "ms"), "46.3 ms");
    assert.equal(formatFigure(1, "times"), "1.00x");
    assert.equal(formatFigure(-3.2, "ms"), "-3.20 ms");
    assert.equal(formatFigure(Number.NaN, "times"), "?x");
  });
});

describe("rotated", () => {
  it("lets another one be first in each round", () => {
    assert.deepEqual(
      [0, 1, 2, 3].map((round) => rotated(["a", "b", "c"], round).join("")),
      ["abc", "bca", "cab", "abc"],
    );
    assert.deepEqual(rotated([], 2), []);
  });
});
