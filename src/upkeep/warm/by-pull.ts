import { RegistryError } from "../../oci/errors.ts";
import type { Reference, Repository } from "../../oci/reference.ts";
import type { Pull } from "../../pull/pull.ts";
import type { PullRegistries } from "../../pull/registries.ts";
import { assertSpared } from "./spare-pulls.ts";
import type { WarmPull } from "./warm.ts";

export interface ByPullOptions {
  readonly pull: Pick<Pull, "admit" | "manifests" | "bring">;
  readonly registries: PullRegistries;
  /** Whether a tag is asked about although it is fresh still, unless it never moves. */
  readonly asksAnew: boolean;
}

/** Warming as a client pulls: through freshness, single transfers, limits and breakers, and with no rights but everybody's. */
export function warmPullBy({ pull, registries, asksAnew }: ByPullOptions): WarmPull {
  return {
    assertOpen: async (repository, signal) => {
      const admitted = await pull.admit(repository, undefined, signal, async (ask) => await ask());
      if (admitted.kind === "held-only") {
        const message = `upstream could not be asked whether everybody may have it (${admitted.why})`;
        admitted.later().catch(() => undefined);
        throw new RegistryError(503, "UNAVAILABLE", message);
      }
      if (admitted.admission !== "in")
        throw new RegistryError(403, "DENIED", "only clients' own credentials open it (private_content: pass_through)");
    },
    manifest: async (repository, reference, signal) => {
      const upstream = registries.get(repository.registryId)?.upstream;
      if (upstream !== undefined) await assertSpared(upstream, repository.name, reference, signal);
      const sinceMs = asksAnew && mayMove(registries, repository, reference) ? Date.now() : undefined;
      const { digest, manifest, bytes, outcome } = await pull.manifests.get(repository, reference, sinceMs);
      const stale = outcome.kind === "stale" ? outcome.reason : undefined;
      return { digest, manifest, size: bytes.length, stale, isKept: outcome.kind !== "unkept" };
    },
    blob: async (...what) => await pull.bring(...what),
  };
}

function mayMove(registries: PullRegistries, { registryId }: Repository, reference: Reference): boolean {
  return reference.kind === "tag" && registries.get(registryId)?.tagPolicies.for(reference.tag).kind !== "never";
}
