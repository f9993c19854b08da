import assert from "node:assert/strict";
import { test } from "node:test";
import { basicCredentials } from "./authorization.ts";
import { SecretPaths, splitSecret } from "./secret-paths.ts";

for (const [path, secret, rest] of [
  ["/t/abc/v2/library/nginx/manifests/1", "abc", "/v2/library/nginx/manifests/1"],
  ["/t/abc/v2/", "abc", "/v2/"],
  ["/t/abc", "abc", "/"],
  ["/t//v2/", "", "/v2/"],
  ["/v2/t/abc/manifests/1", undefined, "/v2/t/abc/manifests/1"],
  ["/t", undefined, "/t"],
  ["/", undefined, "/"],
] as const) {
  test(`the secret of ${path} is taken out of it`, () => {
    assert.deepEqual(splitSecret(path), { secret, path: rest });
  });
}

test("a secret is somebody's, or nobody's", () => {
  const paths = new SecretPaths([
    { name: "lab", token: "a".repeat(22) },
    { name: "farm", token: "b".repeat(22) },
  ]);
  assert.deepEqual(paths.principal("b".repeat(22)), { name: "farm", method: "path" });
  for (const wrong of ["", "a", "a".repeat(23), "%61".repeat(22)]) assert.equal(paths.principal(wrong), undefined);
});

test("user and password of the Basic scheme, and nothing of any other", () => {
  const header = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;
  assert.deepEqual(basicCredentials(header("me:pass:word")), { user: "me", password: "pass:word" });
  assert.deepEqual(basicCredentials(header(":")), { user: "", password: "" });
  assert.deepEqual(basicCredentials(`bAsIc  ${Buffer.from("me:x").toString("base64")} `), {
    user: "me",
    password: "x",
  });
  for (const other of [
    undefined,
    "",
    "Basic",
    "Basic !",
    "Bearer abc",
    header("me"),
    header(`me:${"x".repeat(2_000)}`),
  ]) {
    assert.equal(basicCredentials(other), undefined);
  }
});
