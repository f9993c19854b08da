import type { Outcome, StaleReason } from "../pull/outcome.ts";

const CACHE = "registry-cache";

/** The standard header's value (RFC 9211) for what happened. */
export function cacheStatus(outcome: Outcome): string {
  return outcome.byHold === true && outcome.kind !== "unkept"
    ? `${happened(outcome)}; detail=pinned`
    : happened(outcome);
}

function happened(outcome: Outcome): string {
  switch (outcome.kind) {
    case "hit":
      return outcome.freshForS === undefined ? `${CACHE}; hit` : `${CACHE}; hit; ttl=${outcome.freshForS}`;
    case "revalidated":
      return `${CACHE}; hit; detail=revalidated`;
    case "stale":
      return `${CACHE}; hit; detail=stale-${outcome.reason}`;
    case "miss":
      return `${CACHE}; fwd=miss; stored`;
    case "joined":
      return `${CACHE}; fwd=miss; collapsed; stored`;
    case "quarantined":
      return `${CACHE}; hit; detail=quarantined`;
    case "unkept":
      return `${CACHE}; fwd=miss; detail=no-room`;
  }
}

/** Headers that tell what happened: always `Cache-Status`, `Age` where it is known, and a warning for stale content. */
export function outcomeHeaders(outcome: Outcome): Record<string, string> {
  const headers: Record<string, string> = { "Cache-Status": cacheStatus(outcome) };
  if ((outcome.kind === "hit" || outcome.kind === "stale") && outcome.ageS !== undefined) {
    headers["Age"] = String(outcome.ageS);
  }
  const warning = warningOf(outcome);
  if (warning !== undefined) headers["Warning"] = `299 - "${warning}"`;
  return headers;
}

const REASONS: Record<StaleReason, string> = {
  slow: "upstream has not answered yet",
  unreachable: "upstream cannot be reached",
  timeout: "upstream did not answer in time",
  "server-error": "upstream fails",
  "rate-limited": "upstream limits our requests",
  unavailable: "upstream failed repeatedly and is not being asked for a while",
  quota: "the pulls that upstream allows are used up",
  "not-found": "upstream no longer has this",
  unauthorized: "upstream now wants authentication",
  forbidden: "upstream now denies this",
  untrusted: "upstream leads to a place that is not trusted",
  protocol: "upstream sent something unusable",
  overloaded: "too many questions to upstream are waiting",
  aborted: "the question to upstream was given up",
};

/** What a person should know of the answer. */
function warningOf(outcome: Outcome): string | undefined {
  if (outcome.kind === "stale") return staleText(outcome.reason, outcome.ageS);
  if (outcome.kind !== "quarantined") return undefined;
  return `this is what the tag pointed to before: ${outcome.newer} is too new for rule ${outcome.rule}`;
}

function staleText(reason: StaleReason, ageS: number): string {
  return `served from cache, confirmed ${ageS} s ago: ${REASONS[reason]}`;
}
