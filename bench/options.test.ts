import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isWhole, parseOptions, UsageError } from "./options.ts";

describe("parseOptions", () => {
  it("measures everything three times without arguments", () => {
    const options = parseOptions([]);
    assert.deepEqual([options.rounds, options.seconds, options.quick, isWhole(options)], [3, 3, false, true]);
  });

  it("keeps no table of a part", () => {
    for (const part of [["--only", "tag"], ["--just", "registry:2"], ["--quick"], ["--no-go"]]) {
      assert.equal(isWhole(parseOptions(part)), false, part.join(" "));
    }
    assert.equal(isWhole(parseOptions(["--rounds", "5", "--seconds", "10"])), true);
  });

  it("is short with --quick, unless told otherwise", () => {
    const quick = parseOptions(["--quick", "--rounds", "2"]);
    assert.deepEqual([quick.rounds, quick.seconds], [2, 1]);
  });

  it("takes a list of candidates", () => {
    assert.deepEqual(parseOptions(["--just", "registry:2, nginx sendfile"]).just, ["registry:2", "nginx sendfile"]);
  });

  it("says what is wrong", () => {
    for (const args of [["--rounds", "0"], ["--rounds", "many"], ["--seconds", "1.5"], ["--unknown"], ["more"]]) {
      assert.throws(() => parseOptions(args), UsageError, args.join(" "));
    }
  });
});
