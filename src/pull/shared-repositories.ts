import type { RegistryConfig } from "../config/config.ts";
import { compileShared } from "../lib/glob.ts";
import type { Repository } from "../oci/reference.ts";

/** Whether a repository's content may be given out although credentials were needed to have it. */
export function sharesOf(
  registries: readonly Pick<RegistryConfig, "id" | "sharedRepositories">[],
): (repository: Repository) => boolean {
  const shares = new Map(registries.map((one) => [one.id, compileShared(one.sharedRepositories)]));
  return ({ registryId, name }) => shares.get(registryId)?.(name) === true;
}
