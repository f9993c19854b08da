import type { Logger } from "pino";
import type { Catalog } from "../catalog/catalog.ts";
import { parseRepositoryName, type Repository } from "../oci/reference.ts";
import type { Store } from "../store/store.ts";
import { Findings, type ReindexReport } from "./reindex-report.ts";
import { snapshotOf } from "./snapshot.ts";

export type { ReindexProblem, ReindexReport } from "./reindex-report.ts";

/** Repositories between two lines of progress. */
const PROGRESS_EVERY = 500;

interface Served {
  readonly id: string;
  readonly serves: string;
}

/**
 * Rebuilds the catalog from what the store holds and says what it found. Serving may go on meanwhile. Rejects when the
 * store's folders cannot be read or the catalog not be written, and with the signal's reason when that aborts; what was
 * rebuilt until then stays, and nothing is forgotten for not having been reached.
 */
export async function reindex(
  store: Pick<Store, "repositories" | "contents" | "readBlob" | "statBlob">,
  catalog: Pick<Catalog, "replaceHeld">,
  registries: readonly Served[],
  log: Pick<Logger, "info" | "warn">,
  signal?: AbortSignal,
): Promise<ReindexReport> {
  const findings = new Findings(log);
  const idOf = new Map(registries.map(({ serves, id }) => [serves, id]));
  await catalog.replaceHeld(snapshots());
  return findings.report();

  async function* snapshots() {
    for await (const path of store.repositories()) {
      signal?.throwIfAborted();
      const repository = repositoryAt(path, idOf, findings);
      if (repository === undefined) continue;
      yield await snapshotOf(store, repository, findings);
      if (findings.repositories % PROGRESS_EVERY === 0) {
        log.info({ repositories: findings.repositories }, "the catalog is being rebuilt");
      }
    }
  }
}

/** `docker.io/library/nginx`: up to the first slash the registry, whose name may have a port. */
function repositoryAt(path: string, idOf: ReadonlyMap<string, string>, findings: Findings): Repository | undefined {
  const slash = path.indexOf("/");
  const name = slash === -1 ? undefined : parseRepositoryName(path.slice(slash + 1));
  if (name === undefined) {
    findings.problem({ kind: "bad-name", repository: path });
    return undefined;
  }
  const serves = path.slice(0, slash);
  const registryId = idOf.get(serves);
  if (registryId === undefined) findings.problem({ kind: "unknown-registry", repository: path });
  return { registryId: registryId ?? serves, serves, name };
}
