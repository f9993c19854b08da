import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { prove } from "../../../test/support/property.ts";
import { WEBHOOK_LIMITS } from "./limits.ts";
import { afterTry, type TryResult } from "./retry.ts";

const FIRST = { tries: 1, sinceMs: 0, random: 0 };

function answered(status: number, retryAfterS?: number): TryResult {
  return { kind: "answered", status, retryAfterS };
}

test("only 2xx is taken; a redirect is not followed, a refusal not repeated", () => {
  for (const status of [200, 202, 204]) assert.equal(afterTry(answered(status), FIRST, WEBHOOK_LIMITS).kind, "done");
  for (const status of [301, 302, 307, 400, 401, 404, 410]) {
    assert.deepEqual(afterTry(answered(status), FIRST, WEBHOOK_LIMITS), {
      kind: "give-up",
      why: `it answered with ${status}`,
    });
  }
});

test("what may pass is tried again, later each time, as late as a 429 wishes", () => {
  const failed: TryResult = { kind: "failed", reason: "ECONNREFUSED" };
  const pauses = [1, 2, 3, 4, 20].map((tries) => afterTry(failed, { ...FIRST, tries }, WEBHOOK_LIMITS));
  assert.deepEqual(
    pauses.map((one) => one.kind === "again" && one.inMs),
    [1_000, 2_000, 4_000, 8_000, 300_000],
  );
  for (const status of [408, 425, 429, 500, 502, 503, 504]) {
    assert.equal(afterTry(answered(status), FIRST, WEBHOOK_LIMITS).kind, "again", String(status));
  }
  const wished = (seconds: number) => afterTry(answered(429, seconds), FIRST, WEBHOOK_LIMITS);
  assert.deepEqual(wished(30), { kind: "again", inMs: 30_000, why: "it answered with 429" });
  assert.deepEqual(wished(86_400), { kind: "again", inMs: 300_000, why: "it answered with 429" });
});

test("no pause is longer than the longest, or shorter than half of what is due, and an event is given up in time", () => {
  prove(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 0, max: 2 * WEBHOOK_LIMITS.giveUpMs }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (tries, sinceMs, random) => {
        const next = afterTry(answered(503), { tries, sinceMs, random }, WEBHOOK_LIMITS);
        if (next.kind !== "again") return;
        assert.ok(next.inMs <= WEBHOOK_LIMITS.pauseMsMax && next.inMs >= WEBHOOK_LIMITS.pauseMs / 2);
        assert.ok(sinceMs + next.inMs <= WEBHOOK_LIMITS.giveUpMs);
      },
    ),
  );
});
