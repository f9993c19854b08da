import type { Logger } from "pino";
import type { Catalog } from "../catalog/catalog.ts";
import type { Release } from "../lib/keyed-locks.ts";
import type { Repository } from "../oci/reference.ts";
import type { Store } from "../store/store.ts";
import { Findings, type ReindexReport } from "./reindex-report.ts";
import { snapshotOf } from "./snapshot.ts";
import { repositoryAt } from "./store-paths.ts";

export type { ReindexProblem, ReindexReport } from "./reindex-report.ts";

/** Repositories between two lines of progress. */
const PROGRESS_EVERY = 500;

interface Served {
  readonly id: string;
  readonly serves: string;
}

/** What a running cache needs of it. */
export interface Beside {
  /** Taken before a repository is read, released when it is written down: nothing of it may go meanwhile, and come back as rows. */
  readonly hold: (path: string) => Promise<Release>;
  readonly onRepository: () => void;
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
  beside?: Beside,
): Promise<ReindexReport> {
  const findings = new Findings(log);
  const idOf = new Map(registries.map(({ serves, id }) => [serves, id]));
  await catalog.replaceHeld(snapshots());
  return findings.report();

  async function* snapshots() {
    for await (const path of store.repositories()) {
      signal?.throwIfAborted();
      const repository = found(path, idOf, findings);
      if (repository === undefined) continue;
      const release = await beside?.hold(path);
      try {
        // Until the next one is asked for, the catalog writes this one down.
        yield await snapshotOf(store, repository, findings);
      } finally {
        release?.();
      }
      beside?.onRepository();
      if (findings.repositories % PROGRESS_EVERY === 0) {
        log.info({ repositories: findings.repositories }, "the catalog is being rebuilt");
      }
    }
  }
}

function found(path: string, idOf: ReadonlyMap<string, string>, findings: Findings): Repository | undefined {
  const repository = repositoryAt(path, idOf);
  if (repository === undefined) findings.problem({ kind: "bad-name", repository: path });
  else if (!idOf.has(repository.serves)) findings.problem({ kind: "unknown-registry", repository: path });
  return repository;
}
