import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { shortReason } from "./go-program.ts";

describe("why a program was not built", () => {
  it("does not say which proxy was asked", () => {
    const said =
      "go: downloading a.example/b v1.0.0\n" +
      "go: a.example/b/cmd/c@v1.0.0: a.example/b@v1.0.0: reading https://proxy.example/a.example/b/@v/v1.0.0.info: 403 Forbidden\n" +
      "\tserver response: This module version is not available.\n";
    assert.equal(shortReason(said), "403 Forbidden");
  });

  it("is the compiler's first word otherwise", () => {
    assert.equal(shortReason("# a.example/b\nx.go:1: undefined: y\n"), "# a.example/b");
    assert.equal(shortReason(""), "it did not say why");
  });
});
