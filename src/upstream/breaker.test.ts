import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import {
  BREAKER_FAILURES_MAX,
  BREAKER_OPEN_MAX_MS,
  BREAKER_OPEN_MIN_MS,
  type BreakerState,
  CLOSED,
  type Outcome,
  RATE_LIMIT_PAUSE_MAX_MS,
  RATE_LIMIT_PAUSE_MS,
  admit,
  settle,
} from "./breaker.ts";

const answered: Outcome = { kind: "answered" };
const failed: Outcome = { kind: "failed" };
const neutral: Outcome = { kind: "neutral" };

function limited(retryAfterS?: number): Outcome {
  return { kind: "rate-limited", retryAfterS };
}

function failures(count: number): Outcome[] {
  return Array.from({ length: count }, () => failed);
}

function after(outcomes: readonly Outcome[], nowMs = 0): BreakerState {
  return outcomes.reduce((state, outcome) => settle(state, false, outcome, nowMs), CLOSED);
}

function opened(nowMs = 0): BreakerState {
  return after(failures(BREAKER_FAILURES_MAX), nowMs);
}

/** Lets the probe through and gives it an outcome. */
function probed(state: BreakerState, outcome: Outcome, nowMs: number): BreakerState {
  const admitted = admit(state, nowMs);
  assert.deepEqual(admitted.admission, { kind: "go", probe: true });
  return settle(admitted.state, true, outcome, nowMs);
}

test("it opens after so many failures in a row", () => {
  assert.equal(after(failures(BREAKER_FAILURES_MAX - 1)).kind, "closed");
  assert.equal(opened().kind, "open");
});

test("an answer in between starts the count anew, a question that came to nothing does not", () => {
  const almost = failures(BREAKER_FAILURES_MAX - 1);
  assert.equal(after([...almost, answered, failed]).kind, "closed");
  assert.equal(after([...almost, neutral, failed]).kind, "open");
});

test("while open nothing is let through, and callers are told how long", () => {
  const { admission } = admit(opened(1000), 1000 + BREAKER_OPEN_MIN_MS - 1);
  assert.deepEqual(admission, { kind: "refuse", because: "failures", waitMs: 1 });
});

test("then exactly one probe is let through", () => {
  const { state, admission } = admit(opened(), BREAKER_OPEN_MIN_MS);
  assert.deepEqual(admission, { kind: "go", probe: true });
  assert.equal(admit(state, BREAKER_OPEN_MIN_MS).admission.kind, "refuse");
});

test("a probe that is answered closes it", () => {
  assert.deepEqual(probed(opened(), answered, BREAKER_OPEN_MIN_MS), CLOSED);
});

test("each probe that fails doubles the wait, up to a maximum", () => {
  let state = opened();
  let nowMs = 0;
  const waits: number[] = [];
  for (let opening = 0; opening < 10; opening += 1) {
    assert.equal(state.kind, "open");
    const untilMs = state.kind === "open" ? state.untilMs : 0;
    waits.push(untilMs - nowMs);
    nowMs = untilMs;
    state = probed(state, failed, nowMs);
  }
  assert.deepEqual(waits.slice(0, 3), [BREAKER_OPEN_MIN_MS, BREAKER_OPEN_MIN_MS * 2, BREAKER_OPEN_MIN_MS * 4]);
  assert.equal(waits.at(-1), BREAKER_OPEN_MAX_MS);
});

test("a probe whose client left leaves room for the next probe at once", () => {
  const state = probed(opened(), neutral, BREAKER_OPEN_MIN_MS);
  assert.deepEqual(admit(state, BREAKER_OPEN_MIN_MS).admission, { kind: "go", probe: true });
});

test("questions from before it opened change nothing when they end", () => {
  const { state } = admit(opened(), BREAKER_OPEN_MIN_MS);
  for (const outcome of [answered, failed, neutral]) {
    assert.deepEqual(settle(state, false, outcome, BREAKER_OPEN_MIN_MS), state);
    assert.deepEqual(settle(opened(), false, outcome, 1), opened());
  }
});

test("a 429 pauses for as long as it says, then exactly one probe is let through", () => {
  const paused = after([limited(30)]);
  assert.deepEqual(admit(paused, 10_000).admission, { kind: "refuse", because: "rate-limit", waitMs: 20_000 });
  const { state, admission } = admit(paused, 30_000);
  assert.deepEqual(admission, { kind: "go", probe: true });
  assert.deepEqual(admit(state, 30_000).admission, { kind: "refuse", because: "rate-limit", waitMs: 1_000 });
});

test("the probe after a pause closes it, pauses anew, opens it, or leaves room for the next", () => {
  const paused = after([limited(30)]);
  assert.deepEqual(probed(paused, answered, 30_000), CLOSED);
  assert.deepEqual(probed(paused, limited(5), 30_000), { kind: "paused", untilMs: 35_000 });
  assert.equal(probed(paused, failed, 30_000).kind, "open");
  assert.deepEqual(admit(probed(paused, neutral, 30_000), 30_000).admission, { kind: "go", probe: true });
});

test("a 429 that names no time pauses for a while, one that names an absurd time not for ever", () => {
  assert.equal(admit(after([limited()]), RATE_LIMIT_PAUSE_MS - 1).admission.kind, "refuse");
  assert.equal(admit(after([limited()]), RATE_LIMIT_PAUSE_MS).admission.kind, "go");
  assert.equal(admit(after([limited(1e9)]), RATE_LIMIT_PAUSE_MAX_MS).admission.kind, "go");
});

test("of several 429s the longest pause counts", () => {
  assert.equal(admit(after([limited(60), limited(1)]), 59_999).admission.kind, "refuse");
});

test("whatever happens, the wait is bounded and a probe comes through after it", () => {
  const step = fc.record({
    outcome: fc.constantFrom(answered, failed, neutral, limited(), limited(5), limited(1e9)),
    waitMs: fc.integer({ min: 0, max: 100_000 }),
  });
  prove(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let state = CLOSED;
      let nowMs = 0;
      for (const { outcome, waitMs } of steps) {
        nowMs += waitMs;
        const admitted = admit(state, nowMs);
        state = admitted.state;
        if (admitted.admission.kind === "refuse") {
          const { waitMs: told } = admitted.admission;
          assert.ok(told > 0 && told <= RATE_LIMIT_PAUSE_MAX_MS);
        } else state = settle(state, admitted.admission.probe, outcome, nowMs);
      }
      // No question is under way here, so it cannot be stuck half-open.
      assert.notEqual(state.kind, "half-open");
      assert.equal(admit(state, nowMs + RATE_LIMIT_PAUSE_MAX_MS).admission.kind, "go");
    }),
  );
});
