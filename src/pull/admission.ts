import type { Logger } from "pino";
import type { Catalog } from "../catalog/catalog.ts";
import { LATE, orAborted, within } from "../lib/wait.ts";
import type { Repository } from "../oci/reference.ts";
import { type Admission, type Asking, type OfferedCredentials, UpstreamError } from "../upstream/upstream.ts";
import type { StaleReason } from "./outcome.ts";
import { type PullRegistries, registryOf } from "./registries.ts";
import { answerFor } from "./upstream-answer.ts";

export interface AdmissionOptions {
  readonly registries: PullRegistries;
  readonly catalog: Pick<Catalog, "isPrivate">;
  readonly log: Pick<Logger, "error">;
  /** Ends when the process stops: questions to upstream are nobody's request. */
  readonly signal: AbortSignal;
}

/** What a client may be given: by upstream's word, or without it what everybody was given before, as far as that is held. */
export type Admitted =
  | { readonly kind: "asked"; readonly admission: Admission }
  | {
      readonly kind: "held-only";
      readonly why: StaleReason;
      /** Upstream's word after all. Rejects with a `RegistryError` where there is none. */
      readonly later: () => Promise<Admission>;
    };

/**
 * Whether a client may be given what is held of a repository, by the word of its upstream, which is waited for as long as for a tag.
 * Without it what is private is given to nobody but those who were let in lately. Rejects with a `RegistryError`.
 */
export function admissionBy(
  options: AdmissionOptions,
): (
  repository: Repository,
  offered: OfferedCredentials | undefined,
  client: AbortSignal,
  asking: Asking,
) => Promise<Admitted> {
  const { registries, signal } = options;
  return async (repository, offered, client, asking) => {
    const { upstream, config } = registryOf(registries, repository);
    const asked = upstream.admit(repository.name, offered, signal, asking);
    // It may be waited for by nobody any more.
    asked.catch(() => undefined);
    const later = async () => await orAborted(asked, client).catch(rethrown);
    let why: StaleReason;
    try {
      const admission = await orAborted(within(asked, config.timeouts.askBudgetMs), client);
      if (admission !== LATE) return { kind: "asked", admission };
      why = "slow";
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      why = error.kind;
    }
    if (await isKnownToBeOpen(options, repository)) return { kind: "held-only", why, later };
    return { kind: "asked", admission: await later() };
  };
}

function rethrown(error: unknown): never {
  throw error instanceof UpstreamError ? answerFor(error, "manifest") : error;
}

/** It was never found to be private, and nothing of it needed credentials. */
async function isKnownToBeOpen(
  { registries, catalog, log }: AdmissionOptions,
  repository: Repository,
): Promise<boolean> {
  if (registryOf(registries, repository).upstream.wasPrivate(repository.name)) return false;
  try {
    return (await catalog.isPrivate(repository)) === false;
  } catch (error) {
    log.error({ err: error }, "the catalog could not be read; what may be private is not given out");
    return false;
  }
}
