import type { RegistryConfig } from "../config/config.ts";
import { compileShared } from "../lib/glob.ts";
import type { Repository } from "../oci/reference.ts";

/**
 * Whether a repository's content may be given out although credentials were needed to have it: since it is shared, or since whoever
 * asks has been admitted before (`pass_through`).
 */
export function sharesOf(
  registries: readonly Pick<RegistryConfig, "id" | "passThrough" | "sharedRepositories">[],
): (repository: Repository) => boolean {
  const shares = new Map(
    registries.map((one) => [one.id, one.passThrough ? () => true : compileShared(one.sharedRepositories)]),
  );
  return ({ registryId, name }) => shares.get(registryId)?.(name) === true;
}
