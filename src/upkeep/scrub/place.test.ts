import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { nearly, prove } from "../../../test/support/property.ts";
import { parsePlace, type ScrubPlace } from "./place.ts";

const PLACE: ScrubPlace = {
  state: "running",
  stage: "blobs",
  after: `sha256:${"a".repeat(64)}`,
  blobsDone: 3,
  bytesDone: 4096,
  damaged: 1,
  healed: 1,
  bytesPerSecond: 1024,
  startedAtMs: 1_700_000_000_000,
  finishedAtMs: undefined,
};

test("a place is read as it was written", () => {
  assert.deepEqual(parsePlace(JSON.stringify(PLACE)), JSON.parse(JSON.stringify(PLACE)));
});

for (const [what, text] of [
  ["nothing", ""],
  ["no JSON", "{"],
  ["no object", "null"],
  ["no digest", JSON.stringify({ ...PLACE, after: "sha256:1" })],
  ["no rate", JSON.stringify({ ...PLACE, bytesPerSecond: 0 })],
  ["an unknown state", JSON.stringify({ ...PLACE, state: "odd" })],
  ["a count below zero", JSON.stringify({ ...PLACE, blobsDone: -1 })],
] as const) {
  test(`${what} begins anew`, () => assert.equal(parsePlace(text), undefined));
}

test("whatever is in the file is understood in full or not at all", () => {
  prove(
    fc.property(nearly([JSON.stringify(PLACE)]), (text) => {
      const place = parsePlace(text);
      assert.ok(place === undefined || (Number.isSafeInteger(place.bytesDone) && typeof place.after === "string"));
    }),
  );
});
