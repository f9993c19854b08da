import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { RegistryError } from "../oci/errors.ts";
import { parseTarget } from "./target.ts";

test("path and query are parted at the first question mark, and the path stays as it was sent", () => {
  const { path, query } = parseTarget("/v2/a%2Fb/tags/list?n=1&ns=ghcr.io%3A5000&x=a?b");
  assert.equal(path, "/v2/a%2Fb/tags/list");
  assert.deepEqual(
    [...query],
    [
      ["n", "1"],
      ["ns", "ghcr.io:5000"],
      ["x", "a?b"],
    ],
  );
});

test("only the origin form is for us", () => {
  for (const target of ["http://registry.example/v2/", "registry.example:443", "*", "", "?n=1", "v2/"]) {
    assert.throws(() => parseTarget(target), { status: 400, code: "UNSUPPORTED" }, target);
  }
});

test("a path that begins with two slashes names no host", () => {
  assert.equal(parseTarget("//evil.example/v2/").path, "//evil.example/v2/");
});

test("the secret of a secret path is no part of the path", () => {
  assert.deepEqual(
    ["/t/abc/v2/?n=1", "/t///", "/t/abc", "/t/?n=1"].map((target) => {
      const { path, secret } = parseTarget(target);
      return [secret, path];
    }),
    [
      ["abc", "/v2/"],
      ["", "//"],
      ["abc", "/"],
      ["", "/"],
    ],
  );
});

test("what is too long or should have been encoded is refused", () => {
  assert.throws(() => parseTarget(`/${"a".repeat(4096)}`), { status: 414 });
  assert.equal(parseTarget(`/${"a".repeat(4095)}`).path.length, 4096);
  for (const target of ["/a b", "/a\tb", "/a\0", "/ä", "/\u{1F433}", "/a\x7f"]) {
    assert.throws(() => parseTarget(target), { status: 400, code: "NAME_INVALID" }, target);
  }
});

test("no target throws anything but a refusal, and what is taken is printable ASCII that begins with a slash", () => {
  const anyTarget = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.webPath(),
    fc.string().map((text) => `/${text}`),
    fc.string().map((text) => `/t/${text}`),
  );
  prove(
    fc.property(anyTarget, (target) => {
      try {
        const { path, secret } = parseTarget(target);
        assert.match(path, /^\/[\x21-\x3e\x40-\x7e]*$/);
        assert.ok(target.startsWith(secret === undefined ? path : `/t/${secret}`));
      } catch (error) {
        assert.ok(error instanceof RegistryError);
      }
    }),
  );
});
