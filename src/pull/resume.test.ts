import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { UpstreamError, type UpstreamErrorKind } from "../upstream/upstream.ts";
import { type Attempts, resumeDelayMs } from "./resume.ts";

const BEGUN: Attempts = { total: 1, fruitless: 1, begun: true };
const NOT_BEGUN: Attempts = { ...BEGUN, begun: false };
const of = (kind: UpstreamErrorKind, retryAfterS?: number) => new UpstreamError(kind, "x", { retryAfterS });

for (const kind of ["unreachable", "timeout", "server-error"] as const) {
  test(`${kind}: tried again, with growing pauses; less often before the first byte, when a client can still be told`, () => {
    assert.equal(resumeDelayMs(of(kind), NOT_BEGUN), 100);
    assert.equal(resumeDelayMs(of(kind), { ...NOT_BEGUN, fruitless: 2 }), undefined);
    assert.equal(resumeDelayMs(of(kind), BEGUN), 100);
    assert.equal(resumeDelayMs(of(kind), { ...BEGUN, fruitless: 2 }), 400);
    assert.equal(resumeDelayMs(of(kind), { ...BEGUN, fruitless: 3 }), undefined);
  });
}

test("rate-limited: a short wish is granted in the middle of a transfer, a long one and one at its start are passed on", () => {
  assert.equal(resumeDelayMs(of("rate-limited", 2), BEGUN), 2000);
  assert.equal(resumeDelayMs(of("rate-limited"), BEGUN), 1000);
  assert.equal(resumeDelayMs(of("rate-limited", 11), BEGUN), undefined);
  assert.equal(resumeDelayMs(of("rate-limited", 2), NOT_BEGUN), undefined);
});

test("what will not get better is not tried again, nor what is no upstream's fault", () => {
  const final = [
    "unavailable",
    "not-found",
    "unauthorized",
    "forbidden",
    "untrusted",
    "protocol",
    "overloaded",
    "aborted",
  ];
  for (const kind of final) assert.equal(resumeDelayMs(of(kind as UpstreamErrorKind), BEGUN), undefined, kind);
  assert.equal(resumeDelayMs(new Error("ENOSPC"), BEGUN), undefined);
});

test("no upstream is asked for ever, however it fails, and no pause is long", () => {
  const kinds = fc.constantFrom<UpstreamErrorKind>("unreachable", "timeout", "server-error", "rate-limited");
  prove(
    fc.property(fc.array(fc.tuple(kinds, fc.boolean(), fc.nat(20)), { minLength: 200, maxLength: 200 }), (failures) => {
      let attempts: Attempts = { total: 0, fruitless: 0, begun: false };
      let goesOn = true;
      for (const [kind, moved, retryAfterS] of failures) {
        attempts = {
          total: attempts.total + 1,
          fruitless: moved ? 1 : attempts.fruitless + 1,
          begun: attempts.begun || moved,
        };
        const delayMs = resumeDelayMs(of(kind, retryAfterS), attempts);
        if (delayMs !== undefined) assert.ok(delayMs <= 10_000);
        goesOn &&= delayMs !== undefined;
      }
      assert.equal(goesOn, false);
    }),
  );
});
