import type { Logger } from "pino";
import type { Catalog } from "../catalog/catalog.ts";
import { orAborted } from "../lib/wait.ts";
import type { Repository } from "../oci/reference.ts";
import { type Admission, type OfferedCredentials, UpstreamError } from "../upstream/upstream.ts";
import { type PullRegistries, registryOf } from "./registries.ts";
import { answerFor } from "./upstream-answer.ts";

export interface AdmissionOptions {
  readonly registries: PullRegistries;
  readonly catalog: Pick<Catalog, "isPrivate">;
  readonly log: Pick<Logger, "error">;
  /** Ends when the process stops: questions to upstream are nobody's request. */
  readonly signal: AbortSignal;
}

/**
 * Whether a client may be given what is held of a repository, by the word of its upstream. While that cannot be asked, what everybody was
 * given before is given out further, and what was private is not. Rejects with a `RegistryError`.
 */
export function admissionBy(
  options: AdmissionOptions,
): (
  repository: Repository,
  offered: OfferedCredentials | undefined,
  client: AbortSignal,
  beforeAsking: () => void,
) => Promise<Admission> {
  const { registries, signal } = options;
  return async (repository, offered, client, beforeAsking) => {
    const { upstream } = registryOf(registries, repository);
    try {
      return await orAborted(upstream.admit(repository.name, offered, signal, beforeAsking), client);
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      if (await isKnownToBeOpen(options, repository)) return "in";
      throw answerFor(error, "manifest");
    }
  };
}

async function isKnownToBeOpen({ catalog, log }: AdmissionOptions, repository: Repository): Promise<boolean> {
  try {
    return (await catalog.isPrivate(repository)) === false;
  } catch (error) {
    log.error({ err: error }, "the catalog could not be read; what may be private is not given out");
    return false;
  }
}
