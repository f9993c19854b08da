import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { isSpent, QUOTA_PAUSE_MAX_MS, QUOTA_PAUSE_MS, quotaOf, quotaPauseMs, quotaVerdict } from "./quota.ts";
import type { HttpAnswer } from "./request.ts";

const NOW_MS = Date.parse("2026-11-26T12:00:00Z");

function answer(headers: HttpAnswer["headers"], status = 200): HttpAnswer {
  return { method: "GET", url: new URL("http://registry.test/"), status, headers, body: Readable.from([]) };
}

function said(limit: string, remaining: string) {
  return quotaOf(answer({ "ratelimit-limit": limit, "ratelimit-remaining": remaining }));
}

test("Docker Hub's headers are read, with the window that stands beside the limit", () => {
  assert.deepEqual(said("100;w=21600", "7;w=21600"), { limit: 100, remaining: 7, windowS: 21_600 });
  assert.deepEqual(said(" 200 ; w=21600 ", "0"), { limit: 200, remaining: 0, windowS: 21_600 });
});

test("what is no quota says nothing, whatever a registry writes there", () => {
  const wrong = [
    "",
    "100",
    "-1;w=21600",
    "1e9;w=1",
    "9999999999;w=21600",
    "100;w=",
    "100;w=-5",
    "NaN;w=1",
    "100;w=1;x=2",
  ];
  for (const limit of wrong) assert.equal(said(limit, "5;w=21600"), undefined, limit);
  for (const remaining of ["", "-1", "many", "1.5", "9999999999"])
    assert.equal(said("100;w=21600", remaining), undefined, remaining);
  const twice = { "ratelimit-limit": ["100;w=21600", "1;w=1"], "ratelimit-remaining": "5" };
  assert.equal(quotaOf(answer(twice)), undefined);
});

test("no header makes a verdict throw, or a pause leave its bounds", () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^\d{0,12}(;w=\d{0,12})?$/), fc.constant(undefined));
  prove(
    fc.property(text, text, text, text, fc.integer(), (limit, remaining, retryAfter, reset, nowMs) => {
      const one = answer({
        "ratelimit-limit": limit,
        "ratelimit-remaining": remaining,
        "retry-after": retryAfter,
        "x-ratelimit-reset": reset,
      });
      const quota = quotaOf(one);
      const verdict = quotaVerdict(quota && { quota, ageMs: 0 }, 0.1);
      assert.ok(["plenty", "low", "spent"].includes(verdict));
      const pauseMs = quotaPauseMs(one, nowMs);
      assert.ok(pauseMs >= QUOTA_PAUSE_MS && pauseMs <= QUOTA_PAUSE_MAX_MS, String(pauseMs));
    }),
  );
});

test("below the reserve pulls are low, without one spent, and after the window nobody knows", () => {
  const at = (remaining: number, ageMs = 0, share = 0.1, limit = 100) =>
    quotaVerdict({ quota: { limit, remaining, windowS: 60 }, ageMs }, share);
  assert.equal(quotaVerdict(undefined, 0.1), "plenty");
  assert.deepEqual([at(10), at(9), at(1), at(0)], ["plenty", "low", "low", "spent"]);
  assert.deepEqual([at(0, 59_999), at(0, 60_000), at(5, 60_000)], ["spent", "plenty", "plenty"]);
  // No reserve, and all of it.
  assert.deepEqual([at(1, 0, 0), at(0, 0, 0), at(99, 0, 1), at(100, 0, 1)], ["plenty", "spent", "low", "plenty"]);
  // Nothing at all is no quota of nothing.
  assert.equal(at(0, 0, 0.1, 0), "plenty");
  const forYears = { quota: { limit: 100, remaining: 0, windowS: 999_999_999 }, ageMs: 24 * 3_600_000 };
  assert.equal(quotaVerdict(forYears, 0.1), "plenty");
});

test("how long to wait is upstream's word in any of its forms, within bounds", () => {
  const pause = (headers: HttpAnswer["headers"]) => quotaPauseMs(answer(headers), NOW_MS);
  assert.equal(pause({}), QUOTA_PAUSE_MS);
  assert.equal(pause({ "retry-after": "120" }), 120_000);
  assert.equal(pause({ "retry-after": "Thu, 26 Nov 2026 12:05:00 GMT" }), 300_000);
  assert.equal(pause({ "x-ratelimit-reset": String(NOW_MS / 1000 + 240) }), 240_000);
  assert.equal(pause({ "x-ratelimit-reset": "240" }), 240_000);
  assert.equal(pause({ "retry-after": "1" }), QUOTA_PAUSE_MS);
  assert.equal(pause({ "retry-after": "999999999" }), QUOTA_PAUSE_MAX_MS);
  assert.equal(pause({ "x-ratelimit-reset": "1000000000" }), QUOTA_PAUSE_MS);
});

test("a 429 with pulls left is about something else", () => {
  const refused = (remaining: string) =>
    isSpent(answer({ "ratelimit-limit": "100;w=21600", "ratelimit-remaining": remaining }, 429));
  assert.deepEqual([refused("0;w=21600"), refused("5;w=21600"), isSpent(answer({}, 429))], [true, false, false]);
});
