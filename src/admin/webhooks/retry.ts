import type { WebhookLimits } from "./limits.ts";

/** What came of one try. */
export type TryResult =
  | { readonly kind: "answered"; readonly status: number; readonly retryAfterS: number | undefined }
  /** No answer, and why, without the address. */
  | { readonly kind: "failed"; readonly reason: string };

export type NextStep =
  | { readonly kind: "done" }
  | { readonly kind: "give-up"; readonly why: string }
  | { readonly kind: "again"; readonly inMs: number; readonly why: string };

/** Refusals that are not about what was sent: too slow, too early, too much. */
const PASSING: ReadonlySet<number> = new Set([408, 425, 429]);

/** At least so much of a pause is kept; the rest is chance, so that many senders do not come back together. */
const JITTER_SHARE = 0.5;

/** What follows a try, the `tries`th of an event that was tried first `sinceMs` ago. `random` is from 0 to 1. */
export function afterTry(
  result: TryResult,
  { tries, sinceMs, random }: { readonly tries: number; readonly sinceMs: number; readonly random: number },
  limits: WebhookLimits,
): NextStep {
  if (result.kind === "answered" && result.status >= 200 && result.status < 300) return { kind: "done" };
  const why = result.kind === "failed" ? result.reason : `it answered with ${result.status}`;
  if (result.kind === "answered" && result.status < 500 && !PASSING.has(result.status)) return { kind: "give-up", why };
  const growing = Math.min(limits.pauseMs * 2 ** (tries - 1), limits.pauseMsMax);
  const wished = result.kind === "answered" ? (result.retryAfterS ?? 0) * 1_000 : 0;
  const inMs = Math.max(growing * (1 - JITTER_SHARE * random), Math.min(wished, limits.pauseMsMax));
  if (sinceMs + inMs > limits.giveUpMs) return { kind: "give-up", why };
  return { kind: "again", inMs, why };
}
