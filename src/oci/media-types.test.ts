import assert from "node:assert/strict";
import { validateHeaderValue } from "node:http";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import * as types from "./media-types.ts";

/** Any characters, controls and beyond ASCII included. */
const wild = fc.string({ unit: fc.nat(0x2fff).map((code) => String.fromCharCode(code)) });
const ALL = Object.entries(types).filter((entry): entry is [string, string] => typeof entry[1] === "string");
const SINGLE = ALL.filter(([name]) => name !== "MANIFEST_ACCEPT").map(([, type]) => type);

suite("media types", () => {
  test("are found bare whatever their case, blanks and parameters", () => {
    const blank = fc.stringMatching(/^[ \t]{0,3}$/);
    prove(
      fc.property(
        fc.mixedCase(fc.constantFrom(...SINGLE)),
        blank,
        blank,
        fc.string(),
        (type, before, after, parameters) => {
          assert.equal(types.bareMediaType(`${before}${type}${after};${parameters}`), type.toLowerCase());
          assert.equal(types.bareMediaType(`${before}${type}${after}`), type.toLowerCase());
        },
      ),
    );
  });

  test("that we accept of upstreams are indexes and manifests of both families, without schema 1", () => {
    const accepted = types.MANIFEST_ACCEPT.split(", ");
    const expected = [types.OCI_INDEX, types.OCI_MANIFEST, types.DOCKER_LIST, types.DOCKER_MANIFEST];
    assert.deepEqual(accepted.toSorted(), expected.toSorted());
    assert.deepEqual(SINGLE.filter(types.isIndexType).toSorted(), [types.OCI_INDEX, types.DOCKER_LIST].toSorted());
  });

  test("are recognised, and whatever is recognised can stand in a header", () => {
    for (const type of [...SINGLE, "text/plain", "image/svg+xml"]) assert.ok(types.isMediaType(type), type);
    const wrong = [
      "",
      "/",
      "a",
      "a/",
      "/b",
      "a/b/c",
      "a/b;c=d",
      "a/b\r\nX: y",
      "a /b",
      "a/b\n",
      "é/b",
      `a/${"b".repeat(128)}`,
    ];
    for (const type of wrong) assert.equal(types.isMediaType(type), false, type);
    prove(
      fc.property(fc.oneof(wild, fc.stringMatching(/^[ -~]+\/[ -~]+$/)), (type) => {
        if (!types.isMediaType(type)) return;
        assert.doesNotThrow(() => validateHeaderValue("Content-Type", type));
        assert.equal(type.split("/").length, 2);
      }),
    );
  });
});
