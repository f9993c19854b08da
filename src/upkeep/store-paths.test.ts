import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { isBehind } from "./store-paths.ts";

test("repositories come in the order of their folders, which is not that of their names", () => {
  const ordered = ["docker.io/a", "docker.io/a/b", "docker.io/a-b", "docker.io/ab", "ghcr.io/a"];
  for (const [index, path] of ordered.entries())
    for (const [against, other] of ordered.entries())
      assert.equal(isBehind(path, other), index > against, `${path} ${other}`);
});

test("of two different paths one is behind the other", () => {
  const path = fc.array(fc.constantFrom("a", "a-b", "b", "a.b"), { minLength: 1, maxLength: 4 });
  prove(
    fc.property(path, path, (one, two) => {
      const [a, b] = [one.join("/"), two.join("/")];
      assert.equal(isBehind(a, b), a !== b && !isBehind(b, a));
    }),
  );
});
