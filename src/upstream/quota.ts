import { humanDuration } from "../lib/human.ts";
import { header } from "./bodies.ts";
import type { HttpAnswer } from "./request.ts";
import { parseRetryAfter } from "./retry-after.ts";
import type { QuotaVerdict } from "./upstream.ts";

/** How much Docker Hub lets whoever asks pull. */
export interface Quota {
  readonly limit: number;
  readonly remaining: number;
  /** Seconds for which it is counted. */
  readonly windowS: number;
}

/** `ratelimit-limit: 100;w=21600`. */
const COUNT = /^(\d{1,9})(?:\s*;\s*w=(\d{1,9}))?$/;

/** What an answer says of it; undefined where it says nothing, as to those who pay. */
export function quotaOf(answer: HttpAnswer): Quota | undefined {
  const [, limit, windowS] = COUNT.exec(header(answer, "ratelimit-limit")?.trim() ?? "") ?? [];
  const [, remaining] = COUNT.exec(header(answer, "ratelimit-remaining")?.trim() ?? "") ?? [];
  if (limit === undefined || windowS === undefined || remaining === undefined) return undefined;
  return { limit: Number(limit), remaining: Number(remaining), windowS: Number(windowS) };
}

const MS_PER_S = 1000;
/** What was said longer ago counts no more, whatever window it names: Docker Hub's is 6 hours. */
const WINDOW_MS_MAX = 24 * 60 * 60 * MS_PER_S;

/** What is known of a quota that was seen so long ago. `reserveShare` of the limit is what is to be spared. */
export function quotaVerdict(
  seen: { readonly quota: Quota; readonly ageMs: number } | undefined,
  reserveShare: number,
): QuotaVerdict {
  if (seen === undefined) return "plenty";
  const { limit, remaining, windowS } = seen.quota;
  const isOver = seen.ageMs >= Math.min(windowS * MS_PER_S, WINDOW_MS_MAX);
  // No limit at all is no quota that could be spent.
  if (isOver || limit === 0) return "plenty";
  if (remaining === 0) return "spent";
  return remaining < limit * reserveShare ? "low" : "plenty";
}

/** Whether an answer is about pulls that are all used up, as opposed to questions that came too fast. */
export function isSpent(answer: HttpAnswer): boolean {
  const quota = quotaOf(answer);
  return quota !== undefined && quotaVerdict({ quota, ageMs: 0 }, 0) === "spent";
}

/** How long an upstream whose pulls are spent is left alone, where it does not say, and at most. */
export const QUOTA_PAUSE_MS = 60_000;
export const QUOTA_PAUSE_MAX_MS = 15 * 60_000;

/** Times since the epoch are seconds, and so is what some say instead: for how much longer. */
const EPOCH_S_MIN = 1_000_000_000;
const RESET = /^\d{1,10}$/;

/** How long to wait before it is looked whether there are pulls again; `nowMs` since the epoch. */
export function quotaPauseMs(answer: HttpAnswer, nowMs: number): number {
  const saidMs = saidPauseMs(answer, nowMs) ?? QUOTA_PAUSE_MS;
  return Math.min(Math.max(saidMs, QUOTA_PAUSE_MS), QUOTA_PAUSE_MAX_MS);
}

function saidPauseMs(answer: HttpAnswer, nowMs: number): number | undefined {
  const retryAfterS = parseRetryAfter(header(answer, "retry-after"), nowMs);
  if (retryAfterS !== undefined) return retryAfterS * MS_PER_S;
  const reset = header(answer, "x-ratelimit-reset")?.trim() ?? "";
  if (!RESET.test(reset)) return undefined;
  const resetS = Number(reset);
  return resetS < EPOCH_S_MIN ? resetS * MS_PER_S : resetS * MS_PER_S - nowMs;
}

/** `184 of 200 pulls in 6 h are left`. */
export function quotaText({ limit, remaining, windowS }: Quota): string {
  return `${remaining} of ${limit} pulls in ${humanDuration(windowS * MS_PER_S)} are left`;
}
