import type { Logger } from "pino";
import type { HeldSnapshot } from "../catalog/catalog.ts";

/** What a rebuild of the catalog found in the store. */
export interface ReindexReport {
  readonly repositories: number;
  /** Manifests that repositories have; one that several have counts for each of them. */
  readonly manifests: number;
  readonly tags: number;
  /** Different layers and configurations, however many repositories have them. */
  readonly blobs: number;
  /** Of different manifests and blobs. */
  readonly bytes: number;
  /** At most PROBLEMS_MAX of them. */
  readonly problems: readonly ReindexProblem[];
  /** All of them. */
  readonly problemCount: number;
}

/**
 * - `bad-name` a folder whose name no repository can have; passed over
 * - `unknown-registry` a repository of a registry that is not configured; kept, with the registry's name as its id
 * - `damaged-link` a link that does not say what it must; what it belonged to is passed over
 * - `missing-blob` a link to a manifest or a layer that is not there; passed over
 * - `unreadable-manifest` no manifest, too long to be one, or not to be read from the disk; passed over
 * - `digest-mismatch` a manifest's bytes are not those that its digest stands for; passed over
 * - `tag-without-manifest` a tag to a manifest that its repository does not have; passed over
 */
export interface ReindexProblem {
  readonly kind:
    | "bad-name"
    | "unknown-registry"
    | "damaged-link"
    | "missing-blob"
    | "unreadable-manifest"
    | "digest-mismatch"
    | "tag-without-manifest";
  /** As in the store: `docker.io/library/nginx`. */
  readonly repository: string;
  readonly digest?: string;
  readonly tag?: string;
  /** Of a damaged link: the digest or the tag that it belongs to. */
  readonly name?: string;
  /** The system's words, where it refused to read. */
  readonly reason?: string;
}

/** A broken disk may have millions of them; the first ones tell what is wrong. */
export const PROBLEMS_MAX = 1000;

/** Adds up while the store is walked. */
export class Findings {
  readonly #log: Pick<Logger, "warn">;
  readonly #problems: ReindexProblem[] = [];
  readonly #counted = new Set<string>();
  #problemCount = 0;
  #manifests = 0;
  #tags = 0;
  #blobs = 0;
  #bytes = 0;
  repositories = 0;

  constructor(log: Pick<Logger, "warn">) {
    this.#log = log;
  }

  problem(problem: ReindexProblem): void {
    this.#problemCount += 1;
    if (this.#problems.length === PROBLEMS_MAX) return;
    this.#problems.push(problem);
    this.#log.warn(problem, "found in the store");
  }

  add(snapshot: HeldSnapshot): void {
    this.repositories += 1;
    this.#manifests += snapshot.manifests.length;
    this.#tags += snapshot.tags.length;
    for (const { digest, size } of snapshot.manifests) this.#bytes += this.#isNew(digest) ? size : 0;
    for (const { digest, size } of snapshot.blobs) {
      if (!this.#isNew(digest)) continue;
      this.#blobs += 1;
      this.#bytes += size;
    }
  }

  #isNew(digest: string): boolean {
    if (this.#counted.has(digest)) return false;
    this.#counted.add(digest);
    return true;
  }

  report(): ReindexReport {
    return {
      repositories: this.repositories,
      manifests: this.#manifests,
      tags: this.#tags,
      blobs: this.#blobs,
      bytes: this.#bytes,
      problems: this.#problems,
      problemCount: this.#problemCount,
    };
  }
}
