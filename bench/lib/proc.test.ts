import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { childSecondsIn, cpuSeconds, cpuSecondsIn, machineSecondsIn, residentBytes, residentBytesIn } from "./proc.ts";

describe("what /proc says", () => {
  it("adds user and system time, whatever the name of the program", () => {
    const stat = "4711 (a b) c) S 1 4711 4711 0 -1 4194560 100 0 0 0 250 130 9 9 20 0 11 0 1 2 3";
    assert.equal(cpuSecondsIn(stat), 3.8);
  });

  it("finds the resident memory", () => {
    assert.equal(residentBytesIn("Name:\tnode\nVmHWM:\t   90000 kB\nVmRSS:\t   80000 kB\n"), 80_000 * 1024);
  });

  it("counts what the machine did, not what it waited for, once", () => {
    const stat = "cpu  100 20 30 9999 888 4 5 1 50 0\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 5\n";
    assert.equal(machineSecondsIn(stat), 1.6);
  });

  it("is there for this very process", async () => {
    assert.ok((await cpuSeconds(process.pid)) > 0);
    assert.ok(((await residentBytes(process.pid))[0] ?? 0) > 1_000_000);
  });
});

describe("childSecondsIn", () => {
  it("reads the second line of the shell's `times`", () => {
    assert.equal(childSecondsIn("0m0.010000s 0m0.020000s\n1m2.500000s 0m0.250000s\n"), 62.75);
  });

  it("is not fooled by what the program itself said before", () => {
    assert.equal(childSecondsIn("took 5m5.5s\n0m0.01s 0m0.02s\n0m1.00s 0m0.50s\n"), 1.5);
  });
});
