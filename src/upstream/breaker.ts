/**
 * The breaker as a pure state machine: it stops asking an upstream that does not answer, so that clients get what is held,
 * or an error, at once. All times are milliseconds of one monotonic clock.
 */
export type BreakerState =
  | { readonly kind: "closed"; readonly failures: number }
  /** Nothing is sent before `untilMs`; `openings` counts how often in a row it opened, for doubling. */
  | { readonly kind: "open"; readonly untilMs: number; readonly openings: number }
  /** One probe is on its way, everybody else is refused meanwhile. */
  | { readonly kind: "half-open"; readonly openings: number; readonly because: Reason }
  /** The upstream said 429: nothing is sent before `untilMs`, then one probe, or all that waited would be refused anew. */
  | { readonly kind: "paused"; readonly untilMs: number };

/** Why nothing is sent. */
type Reason = "failures" | "rate-limit";

/** What came of one question. `neutral` says nothing about the upstream: the client left, our own queue was full. */
export type Outcome =
  | { readonly kind: "answered" | "failed" | "neutral" }
  | { readonly kind: "rate-limited"; readonly retryAfterS: number | undefined };

export type Admission =
  | { readonly kind: "go"; readonly probe: boolean }
  | { readonly kind: "refuse"; readonly because: Reason; readonly waitMs: number };

/** Failures in a row that open it. */
export const BREAKER_FAILURES_MAX = 5;
/** How long it stays open first; doubled each time the probe fails, up to the maximum. */
export const BREAKER_OPEN_MIN_MS = 2_000;
export const BREAKER_OPEN_MAX_MS = 60_000;
/** What a refused caller is told to wait while a probe is on its way. */
export const BREAKER_PROBE_WAIT_MS = 1_000;
/** The pause after a 429 that names none, and the longest that an upstream can impose: Docker Hub's window is 6 hours. */
export const RATE_LIMIT_PAUSE_MS = 10_000;
export const RATE_LIMIT_PAUSE_MAX_MS = 15 * 60_000;

export const CLOSED: BreakerState = { kind: "closed", failures: 0 };

/** Whether a question may be sent now. After `go` exactly one `settle` must follow. */
export function admit(state: BreakerState, nowMs: number): { state: BreakerState; admission: Admission } {
  switch (state.kind) {
    case "closed":
      return { state, admission: { kind: "go", probe: false } };
    case "paused":
      if (nowMs < state.untilMs) {
        return { state, admission: { kind: "refuse", because: "rate-limit", waitMs: state.untilMs - nowMs } };
      }
      return probe(0, "rate-limit");
    case "open":
      if (nowMs < state.untilMs) {
        return { state, admission: { kind: "refuse", because: "failures", waitMs: state.untilMs - nowMs } };
      }
      return probe(state.openings, "failures");
    case "half-open":
      return { state, admission: { kind: "refuse", because: state.because, waitMs: BREAKER_PROBE_WAIT_MS } };
  }
}

function probe(openings: number, because: Reason): { state: BreakerState; admission: Admission } {
  return { state: { kind: "half-open", openings, because }, admission: { kind: "go", probe: true } };
}

/** The state after a question that was let through. */
export function settle(state: BreakerState, isProbe: boolean, outcome: Outcome, nowMs: number): BreakerState {
  if (outcome.kind === "rate-limited") return pause(state, outcome.retryAfterS, nowMs);
  if (state.kind === "closed") return settleClosed(state, outcome.kind, nowMs);
  // Stragglers from before it opened say nothing new; only the probe decides.
  if (!isProbe || state.kind !== "half-open") return state;
  switch (outcome.kind) {
    case "answered":
      return CLOSED;
    case "failed":
      return open(state.openings + 1, nowMs);
    case "neutral":
      // The probe came to nothing, so the next question is the probe.
      if (state.because === "rate-limit") return { kind: "paused", untilMs: nowMs };
      return { kind: "open", untilMs: nowMs, openings: state.openings };
  }
}

function settleClosed(
  state: BreakerState & { kind: "closed" },
  outcome: "answered" | "failed" | "neutral",
  nowMs: number,
): BreakerState {
  if (outcome === "neutral") return state;
  if (outcome === "answered") return CLOSED;
  const failures = state.failures + 1;
  return failures >= BREAKER_FAILURES_MAX ? open(1, nowMs) : { kind: "closed", failures };
}

function open(openings: number, nowMs: number): BreakerState {
  const openMs = Math.min(BREAKER_OPEN_MIN_MS * 2 ** (openings - 1), BREAKER_OPEN_MAX_MS);
  return { kind: "open", untilMs: nowMs + openMs, openings };
}

function pause(state: BreakerState, retryAfterS: number | undefined, nowMs: number): BreakerState {
  const pauseMs = retryAfterS === undefined ? RATE_LIMIT_PAUSE_MS : retryAfterS * 1000;
  const untilMs = nowMs + Math.min(pauseMs, RATE_LIMIT_PAUSE_MAX_MS);
  return state.kind === "paused" && state.untilMs > untilMs ? state : { kind: "paused", untilMs };
}
