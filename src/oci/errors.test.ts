import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { RegistryError } from "./errors.ts";

suite("a registry error", () => {
  test("has the specification's wire form, whatever its message and detail", () => {
    prove(
      fc.property(fc.string(), fc.option(fc.jsonValue(), { nil: undefined }), (message, detail) => {
        const error = new RegistryError(404, "MANIFEST_UNKNOWN", message, { detail });
        const sent: unknown = JSON.parse(JSON.stringify(error));
        const expected = { code: "MANIFEST_UNKNOWN", message, ...(detail === undefined ? {} : { detail }) };
        assert.deepEqual(sent, JSON.parse(JSON.stringify({ errors: [expected] })));
      }),
    );
  });

  test("keeps cause, headers and Retry-After away from the client's body", () => {
    const cause = new Error("token abc");
    const headers = { "Content-Range": "bytes */5" };
    const error = new RegistryError(429, "TOOMANYREQUESTS", "slow down", { cause, headers, retryAfterS: 7 });
    assert.deepEqual([error.status, error.retryAfterS, error.cause], [429, 7, cause]);
    assert.deepEqual(error.headers, headers);
    assert.deepEqual(error.toJSON(), { errors: [{ code: "TOOMANYREQUESTS", message: "slow down" }] });
  });

  test("is an error like others, and one without a cause has none", () => {
    const error = new RegistryError(400, "NAME_INVALID", "no name");
    assert.ok(error instanceof Error);
    assert.equal(String(error), "RegistryError: no name");
    assert.equal("cause" in error, false);
    assert.deepEqual(error.headers, {});
  });
});
