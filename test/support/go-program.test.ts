import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { buildGo, goProgramFile, shortReason } from "./go-program.ts";
import { tempDir } from "./temp.ts";

describe("a program that was built before", () => {
  it("is taken as it is, from the user's cache folder", async (t) => {
    const usual = process.env["XDG_CACHE_HOME"];
    t.after(() =>
      usual === undefined ? delete process.env["XDG_CACHE_HOME"] : (process.env["XDG_CACHE_HOME"] = usual),
    );
    process.env["XDG_CACHE_HOME"] = await tempDir(t);
    const program = { name: "a program", module: "example.invalid/a", version: "v1.0.0", command: "cmd/a" };
    const file = goProgramFile(program);
    assert.ok(file.startsWith(`${process.env["XDG_CACHE_HOME"]}/registry-cache-tools/a-program-v1.0.0/`));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, "#!/bin/true\n");
    await chmod(file, 0o755);
    assert.equal(await buildGo(program, { say: (text) => assert.fail(text) }), file);
  });
});

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
