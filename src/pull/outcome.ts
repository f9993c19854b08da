import type { Digest } from "../oci/digest.ts";
import type { UpstreamErrorKind } from "../upstream/upstream.ts";

/**
 * What happened to one pull, for the `Cache-Status` header, the log and, later, the counters.
 *
 * - `hit` served from what is held, upstream was not asked
 * - `revalidated` upstream confirmed what is held
 * - `stale` held and served although upstream could not confirm it, and why
 * - `miss` fetched for this request; `joined` followed a fetch that another request had started
 * - `quarantined` the tag has moved to something that is too new for a rule: what it pointed to before
 * - `unkept` streamed through, since there was no room to keep it
 */
export type Outcome = Happened & {
  /** Led to by a tag that is held at a digest. */
  readonly byHold?: true;
};

type Happened =
  | { readonly kind: "hit"; readonly ageS?: number; readonly freshForS?: number | undefined }
  | { readonly kind: "revalidated" }
  | { readonly kind: "stale"; readonly reason: StaleReason; readonly ageS: number }
  | { readonly kind: "miss" }
  | { readonly kind: "joined" }
  | { readonly kind: "quarantined"; readonly newer: Digest; readonly rule: number }
  | { readonly kind: "unkept" };

/** Why upstream's word is missing; `slow` means that it did not come within the budget. */
export type StaleReason = UpstreamErrorKind | "slow";
