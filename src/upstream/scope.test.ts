import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { SCOPE_LENGTH_MAX, repositoryOfPath, scopeFor } from "./scope.ts";

test("a challenge's scope for this very repository is taken, for pull only", () => {
  assert.equal(scopeFor("repository:a/b:pull", "a/b"), "repository:a/b:pull");
  assert.equal(scopeFor("repository:a/b:pull,push", "a/b"), "repository:a/b:pull");
  assert.equal(scopeFor("repository:a/b:*", "a/b"), "repository:a/b:pull");
  assert.equal(scopeFor("repository(plugin):a/b:pull,push", "a/b"), "repository(plugin):a/b:pull");
});

test("scopes that are no repository's stay as they came: aws, *", () => {
  assert.equal(scopeFor("aws", "a/b"), "aws");
  assert.equal(scopeFor("*", "a/b"), "*");
});

test("a placeholder, another repository or nothing gives way to the repository's own", () => {
  for (const said of [undefined, "", "repository:user/image:pull", "registry:catalog:*", "a b", "x:y:push"]) {
    assert.equal(scopeFor(said, "a/b"), "repository:a/b:pull", said);
  }
});

test("of several scopes the one for this repository counts", () => {
  assert.equal(scopeFor("repository:x:pull repository:a/b:pull,push", "a/b"), "repository:a/b:pull");
});

test("an absurdly long scope is not taken", () => {
  assert.equal(scopeFor("a".repeat(SCOPE_LENGTH_MAX + 1), "a/b"), "repository:a/b:pull");
});

test("no challenge can make us ask for more than pull", () => {
  const part = fc.constantFrom(
    "repository",
    ":",
    "a/b",
    "pull",
    ",",
    "push",
    "*",
    " ",
    "delete",
    "registry",
    "catalog",
  );
  prove(
    fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      assert.doesNotMatch(scopeFor(parts.join(""), "a/b"), /:.*(push|delete|\*)/);
    }),
  );
});

test("the repository of a path", () => {
  assert.equal(repositoryOfPath("/v2/library/nginx/manifests/1"), "library/nginx");
  assert.equal(repositoryOfPath("/v2/a/manifests/b/blobs/sha256:00"), "a/manifests/b");
  assert.equal(repositoryOfPath("/v2/a/tags/list"), "a");
  assert.equal(repositoryOfPath("/v2/"), undefined);
});
