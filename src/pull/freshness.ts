import type { Revalidate, TagRule } from "../config/config.ts";
import type { QuotaVerdict, UpstreamErrorKind } from "../upstream/upstream.ts";
import type { Outcome } from "./outcome.ts";

export type { QuotaVerdict };

/** What to do about a tag before answering. */
export type Verdict =
  /** Serve what is held. */
  | "fresh"
  /** Held, but upstream is asked first. */
  | "revalidate"
  /** Not held: only upstream can tell. */
  | "fetch"
  /** Not held, and upstream may not be asked. */
  | "refuse";

/**
 * `confirmedAtMs` is undefined where the tag is not held; a confirmation from before `sinceMs` does not do for whoever asks. All times are
 * milliseconds since the epoch.
 */
export function tagVerdict(
  confirmedAtMs: number | undefined,
  revalidate: Revalidate,
  nowMs: number,
  sinceMs = 0,
): Verdict {
  if (confirmedAtMs === undefined) return revalidate.kind === "offline" ? "refuse" : "fetch";
  if (revalidate.kind === "offline") return "fresh";
  // One from the future, from before the clock was set back, would do for ever.
  if (sinceMs > 0 && (confirmedAtMs < sinceMs || confirmedAtMs > nowMs)) return "revalidate";
  switch (revalidate.kind) {
    case "never":
      // What was imported upstream has never said; what it has said once is enough.
      return confirmedAtMs === 0 ? "revalidate" : "fresh";
    case "always":
      return "revalidate";
    case "after": {
      const ageMs = nowMs - confirmedAtMs;
      // A confirmation from the future means that the clock was set back: it must not stay fresh until then.
      return ageMs >= 0 && ageMs < revalidate.ms ? "fresh" : "revalidate";
    }
  }
}

/** How much longer tags stay fresh while pulls are spared. */
export const SPARING_FACTOR = 10;

/**
 * A tag's rule while upstream has so many pulls left. With none left nothing is stretched: who gets what is held is told why. What is to be
 * asked before each answer still is: that costs no pull.
 */
export function sparing(revalidate: Revalidate, quota: QuotaVerdict): Revalidate {
  if (quota !== "low" || revalidate.kind !== "after") return revalidate;
  return { kind: "after", ms: revalidate.ms * SPARING_FACTOR };
}

/** What is told of a tag that is served without a question. */
export function freshHit(confirmedAtMs: number, revalidate: Revalidate, nowMs: number): Outcome {
  return { kind: "hit", ageS: ageS(confirmedAtMs, nowMs), freshForS: freshForS(confirmedAtMs, revalidate, nowMs) };
}

/** Whole seconds since then; none where the clock was set back. */
export function ageS(sinceMs: number, nowMs: number): number {
  return Math.max(0, Math.floor((nowMs - sinceMs) / 1000));
}

/** How long an answer stays fresh, in whole seconds; undefined where time does not decide it. */
export function freshForS(confirmedAtMs: number, revalidate: Revalidate, nowMs: number): number | undefined {
  if (revalidate.kind !== "after") return undefined;
  return Math.max(0, Math.ceil((confirmedAtMs + revalidate.ms - nowMs) / 1000));
}

export interface HeldFacts {
  /** Whether the held content was fetched with credentials. */
  readonly withCredentials: boolean;
  readonly whenDeleted: "serve" | "deny";
}

/** What becomes of a held tag when the question to upstream failed. */
export function afterFailure(kind: UpstreamErrorKind, held: HeldFacts): "serve-stale" | "pass-on" {
  switch (kind) {
    case "not-found":
      return held.whenDeleted === "serve" ? "serve-stale" : "pass-on";
    // What was public when it was fetched may be shown further; private content needs upstream's leave.
    case "unauthorized":
    case "forbidden":
      return held.withCredentials ? "pass-on" : "serve-stale";
    case "unreachable":
    case "timeout":
    case "server-error":
    case "rate-limited":
    case "unavailable":
    case "quota":
    case "untrusted":
    case "protocol":
    case "overloaded":
    case "aborted":
      return "serve-stale";
  }
}

/** Finds the rule of a tag; configuration ends every list with a rule that matches all. */
export class TagPolicies {
  readonly #rules: readonly { readonly matches: (tag: string) => boolean; readonly revalidate: Revalidate }[];

  /** `compile` turns a glob into a predicate. */
  constructor(rules: readonly TagRule[], compile: (glob: string) => (tag: string) => boolean) {
    this.#rules = rules.map((rule) => ({ matches: compile(rule.match), revalidate: rule.revalidate }));
  }

  for(tag: string): Revalidate {
    return this.#rules.find((rule) => rule.matches(tag))?.revalidate ?? { kind: "always" };
  }
}
