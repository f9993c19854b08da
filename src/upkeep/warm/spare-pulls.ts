import { RegistryError } from "../../oci/errors.ts";
import type { Reference, RepositoryName } from "../../oci/reference.ts";
import type { PullRegistry } from "../../pull/registries.ts";

/** What was said longer ago is asked for again, by a question that costs no pull. */
const ASK_AGAIN_MS = 60_000;

/**
 * Warming leaves the last pulls that an upstream allows to clients.
 * Rejects with a `RegistryError` while fewer are left than are to be spared.
 */
export async function assertSpared(
  upstream: Pick<PullRegistry["upstream"], "headManifest" | "quota">,
  name: RepositoryName,
  reference: Reference,
  signal: AbortSignal,
): Promise<void> {
  const { verdict, seen } = upstream.quota;
  if (verdict === "plenty") return;
  if (seen !== undefined && Math.abs(Date.now() - seen.atMs) >= ASK_AGAIN_MS) {
    // Whatever it comes to, it tells what is left.
    await upstream.headManifest(name, reference, signal).catch(() => undefined);
    if (upstream.quota.verdict === "plenty") return;
  }
  const { remaining = 0, limit = 0 } = upstream.quota.seen ?? {};
  const left = `${remaining} of ${limit} pulls that upstream allows are left`;
  throw new RegistryError(429, "TOOMANYREQUESTS", `waits for quota: ${left}, which are for clients`);
}
