import { UpstreamError } from "../upstream/upstream.ts";

/** Attempts in a row that bring no byte before a transfer is given up. */
const FRUITLESS_ATTEMPTS_MAX = 3;
/** Attempts in all, so that an upstream that sends one byte at a time is not asked for ever. */
const ATTEMPTS_MAX = 100;
const BACKOFF_FIRST_MS = 100;
const BACKOFF_MAX_MS = 5_000;
/** A client is waiting: an upstream that wants longer than this is given up and its wish passed on. */
const RETRY_AFTER_MAX_S = 10;

export interface Attempts {
  readonly total: number;
  /** In a row, without a byte. */
  readonly fruitless: number;
  /** Whether any byte of this content has ever come. */
  readonly begun: boolean;
}

/** How long to wait before the transfer is taken up again, milliseconds; undefined: give up. Pure. */
export function resumeDelayMs(error: unknown, attempts: Attempts): number | undefined {
  if (!(error instanceof UpstreamError) || attempts.total >= ATTEMPTS_MAX) return undefined;
  const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 4 ** Math.max(0, attempts.fruitless - 1));
  switch (error.kind) {
    case "unreachable":
    case "timeout":
    case "server-error":
      // Before the first byte the client can still be told, and has other places to go: one more try is enough.
      return attempts.fruitless >= (attempts.begun ? FRUITLESS_ATTEMPTS_MAX : 2) ? undefined : backoffMs;
    case "rate-limited": {
      const waitS = error.retryAfterS ?? 1;
      if (!attempts.begun || waitS > RETRY_AFTER_MAX_S || attempts.fruitless >= FRUITLESS_ATTEMPTS_MAX)
        return undefined;
      return waitS * 1000;
    }
    case "unavailable":
    case "quota":
    case "not-found":
    case "unauthorized":
    case "forbidden":
    case "untrusted":
    case "protocol":
    case "overloaded":
    case "aborted":
      return undefined;
  }
}
