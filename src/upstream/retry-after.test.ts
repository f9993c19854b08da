import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { parseRetryAfter } from "./retry-after.ts";

const NOW_MS = Date.UTC(2026, 10, 6, 8, 49, 37);

test("Retry-After in seconds", () => {
  assert.equal(parseRetryAfter("120", NOW_MS), 120);
  assert.equal(parseRetryAfter(" 0 ", NOW_MS), 0);
});

test("Retry-After as an HTTP date, in each of its three forms", () => {
  assert.equal(parseRetryAfter("Fri, 06 Nov 2026 08:50:37 GMT", NOW_MS), 60);
  assert.equal(parseRetryAfter("Friday, 06-Nov-26 08:50:37 GMT", NOW_MS), 60);
  assert.equal(parseRetryAfter("Fri Nov  6 08:50:37 2026", NOW_MS), 60);
});

test("a date that has passed means now", () => {
  assert.equal(parseRetryAfter("Fri, 06 Nov 2026 08:00:00 GMT", NOW_MS), 0);
});

test("nonsense says nothing", () => {
  for (const header of [undefined, "", "soon", "-1", "1.5", "1e3", "99999999999", "Fri, nonsense at all"]) {
    assert.equal(parseRetryAfter(header, NOW_MS), undefined, header);
  }
});

test("any header gives whole seconds of zero or more, or nothing", () => {
  prove(
    fc.property(fc.string(), (header) => {
      const seconds = parseRetryAfter(header, NOW_MS);
      assert.ok(seconds === undefined || (Number.isInteger(seconds) && seconds >= 0));
    }),
  );
});

test("every date comes back as its distance", () => {
  prove(
    fc.property(fc.integer({ min: 0, max: 10_000_000 }), (seconds) => {
      const header = new Date(NOW_MS + seconds * 1000).toUTCString();
      assert.equal(parseRetryAfter(header, NOW_MS), seconds);
    }),
  );
});
