import type { Digest } from "../oci/digest.ts";
import type { Repository } from "../oci/reference.ts";
import { UpstreamError } from "../upstream/upstream.ts";
import { type PullRegistries, registryOf } from "./registries.ts";

/** Whether upstream has a manifest, as far as it can be asked now; `why` is upstream's own word. */
export type Presence = { readonly kind: "there" } | { readonly kind: "absent" | "unknown"; readonly why: string };

/** One HEAD, which costs no pull, and which nobody waits for past the budget of a question. */
export async function presenceOf(
  registries: PullRegistries,
  repository: Repository,
  digest: Digest,
  signal: AbortSignal,
): Promise<Presence> {
  const { config, upstream } = registryOf(registries, repository);
  const { askBudgetMs } = config.timeouts;
  const budget = AbortSignal.timeout(askBudgetMs);
  try {
    await upstream.headManifest(repository.name, { kind: "digest", digest }, AbortSignal.any([signal, budget]));
    return { kind: "there" };
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    if (budget.aborted) return { kind: "unknown", why: `no answer within ${askBudgetMs / 1000} s` };
    return { kind: isAbsent(error, config.passThrough) ? "absent" : "unknown", why: error.message };
  }
}

/** What is denied to us is as good as not there, but where clients come with credentials of their own. */
function isAbsent({ kind }: UpstreamError, passThrough: boolean): boolean {
  if (kind === "not-found") return true;
  return (kind === "unauthorized" || kind === "forbidden") && !passThrough;
}
