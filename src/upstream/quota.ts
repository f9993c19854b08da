import { humanDuration } from "../lib/human.ts";
import { header } from "./bodies.ts";
import type { HttpAnswer } from "./request.ts";

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

/** `184 of 200 pulls in 6 h are left`. */
export function quotaText({ limit, remaining, windowS }: Quota): string {
  return `${remaining} of ${limit} pulls in ${humanDuration(windowS * MS_PER_S)} are left`;
}
