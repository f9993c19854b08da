import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { compileImageGlob, compileTagGlob } from "./glob.ts";
import { ValueError } from "./value-error.ts";

const TAG = fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,40}$/);

describe("patterns over tags", () => {
  const cases: readonly (readonly [pattern: string, matching: readonly string[], other: readonly string[]])[] = [
    ["*", ["latest", "1.27", "_x", "a.b-c"], []],
    ["v[0-9]*", ["v1", "v1.2.3", "v9-rc"], ["latest", "v", "V1", "xv1"]],
    ["latest", ["latest"], ["latest2", "Latest", "latest-alpine"]],
    ["*-alpine", ["3-alpine", "1.27-alpine"], ["alpine", "3-alpine3"]],
    ["{stable,lts}-*", ["stable-1", "lts-2"], ["edge-1", "stable"]],
    ["1.?", ["1.2"], ["1.27", "1x2", "1."]],
  ];
  for (const [pattern, matching, other] of cases) {
    test(pattern, () => {
      const matches = compileTagGlob(pattern);
      assert.deepEqual([...matching, ...other].filter(matches), matching);
    });
  }

  test("a dot in a tag is a letter like any other, also for a star", () => {
    assert.equal(compileTagGlob("1*")("1.27.3"), true);
  });
});

test("a pattern that could match no tag is refused, and says with what it is compared", () => {
  for (const pattern of ["library/nginx", "nginx:latest", "a b", "sha256@x"]) {
    assert.throws(
      () => compileTagGlob(pattern),
      (error) => error instanceof ValueError && /tag alone/.test(error.hint ?? ""),
    );
  }
});

test("empty, endless and unbalanced patterns are refused", () => {
  for (const pattern of ["", "a".repeat(1000), "v[0-9", "(a"]) assert.throws(() => compileTagGlob(pattern), ValueError);
});

test("a tag taken as a pattern matches itself", () => {
  prove(fc.property(TAG, (tag) => assert.equal(compileTagGlob(tag)(tag), true)));
});

test("a star matches every tag", () => {
  const matches = compileTagGlob("*");
  prove(fc.property(TAG, (tag) => assert.equal(matches(tag), true)));
});

test("any text is compiled or refused with a reason, never anything else", () => {
  prove(
    fc.property(fc.string({ maxLength: 30, unit: "binary" }), TAG, (pattern, tag) => {
      try {
        assert.equal(typeof compileTagGlob(pattern)(tag), "boolean");
      } catch (error) {
        assert.ok(error instanceof ValueError, String(error));
      }
    }),
  );
});

test("a glob over images has a registry's name, and a tag where one is meant", () => {
  const matches = (pattern: string, path: string, tag?: string) => compileImageGlob(pattern)(path, tag);
  assert.ok(matches("docker.io/library/*", "docker.io/library/nginx", "1.27"));
  assert.ok(matches("docker.io/library/*", "docker.io/library/nginx"));
  assert.ok(!matches("docker.io/library/*", "docker.io/library/a/b"));
  assert.ok(matches("ghcr.io/org/**:v*", "ghcr.io/org/a/b", "v2"));
  assert.ok(!matches("ghcr.io/org/**:v*", "ghcr.io/org/a/b", "main"));
  assert.ok(!matches("ghcr.io/org/**:v*", "ghcr.io/org/a/b"));
  assert.ok(matches("localhost:5001/app:*", "localhost:5001/app", "x"));
  assert.ok(matches("*", "quay.io/a/b"));
  for (const pattern of ["", "nginx", "org/app", "docker.io/a@sha256:00", "docker.io/a:b c"])
    assert.throws(() => compileImageGlob(pattern), ValueError, pattern);
});
