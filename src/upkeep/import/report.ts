import type { ImportProblem } from "./source.ts";

/** What an import would take, found out without writing anything. */
export interface ImportPlan {
  readonly source: string;
  readonly repositories: number;
  readonly manifests: number;
  readonly tags: number;
  /** Different blobs that are there, manifests among them. */
  readonly blobs: number;
  /** Of those, bytes. */
  readonly bytes: number;
  /** Of those, what the cache holds already. */
  readonly held: Amount;
  /** Of those, what would be taken. */
  readonly wanted: Amount;
  /** Bytes of room that would be needed, as far as can be told: none for what can be linked to. */
  readonly roomNeeded: number;
  /** Bytes that may be written. */
  readonly room: number;
  /** Named by the source, without being there. */
  readonly missing: number;
  /** At most IMPORT_PROBLEMS_MAX of them. */
  readonly problems: readonly ImportProblem[];
  readonly problemCount: number;
}

export interface Amount {
  readonly blobs: number;
  readonly bytes: number;
}

/** What an import has done. */
export interface ImportReport {
  readonly source: string;
  readonly repositories: number;
  readonly manifests: number;
  /** That were set; tags that the cache had already stay as they are. */
  readonly tags: number;
  readonly tagsKept: number;
  readonly linked: Amount;
  readonly cloned: Amount;
  readonly copied: Amount;
  /** What the cache held already. */
  readonly held: Amount;
  /** Named by the source, without being there; fetched from upstream when they are pulled. */
  readonly missing: number;
  /** Left out since the bytes were not those that the digest stands for. */
  readonly damaged: number;
  /** Repositories whose upstream does not give them to everybody: what came in is kept back until it does. */
  readonly privateRepositories: number;
  /** Repositories whose upstream could not be asked: kept back in the same way. */
  readonly unknownRepositories: number;
  readonly problems: readonly ImportProblem[];
  readonly problemCount: number;
}

/** A broken disk may have millions of them; the first ones tell what is wrong. */
export const IMPORT_PROBLEMS_MAX = 1_000;

/** Keeps the first problems, counts all. */
export class Problems {
  readonly #kept: ImportProblem[] = [];
  readonly #keys = new Set<string>();
  #count = 0;

  readonly add = (problem: ImportProblem): void => {
    const key = `${problem.kind} ${problem.what} ${problem.repository ?? ""}`;
    // The plan and the import look at the same things.
    if (this.#keys.has(key)) return;
    this.#count += 1;
    if (this.#kept.length === IMPORT_PROBLEMS_MAX) return;
    this.#keys.add(key);
    this.#kept.push(problem);
  };

  get kept(): readonly ImportProblem[] {
    return this.#kept;
  }

  get count(): number {
    return this.#count;
  }
}

type Countable = "repositories" | "manifests" | "tags" | "tagsKept" | "missing" | "damaged" | Origin;
type Origin = "privateRepositories" | "unknownRepositories";
export type Taken = "linked" | "cloned" | "copied" | "held";

/** Adds up while an import runs; whoever shows its progress looks at it now and then. */
export class ImportTally {
  readonly #counts = new Map<Countable, number>();
  readonly #taken = new Map<Taken, Amount>();
  /** Bytes read so far, to be hashed or copied. */
  bytesRead = 0;
  /** Of those, what belongs to blobs that are not done. */
  bytesUnderWay = 0;
  /** Bytes of the blobs that are done. */
  bytesDone = 0;
  /** Blobs done, one way or another. */
  blobsDone = 0;
  /** At what it is. */
  repository = "";

  count(what: Countable, by = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + by);
  }

  take(how: Taken, size: number): void {
    const { blobs, bytes } = this.#amount(how);
    this.#taken.set(how, { blobs: blobs + 1, bytes: bytes + size });
    this.blobsDone += 1;
    this.bytesDone += size;
  }

  /** Whether the store has got anything new. */
  hasWritten = false;

  report(source: string, problems: Problems): ImportReport {
    const of = (what: Countable) => this.#counts.get(what) ?? 0;
    return {
      source,
      repositories: of("repositories"),
      manifests: of("manifests"),
      tags: of("tags"),
      tagsKept: of("tagsKept"),
      linked: this.#amount("linked"),
      cloned: this.#amount("cloned"),
      copied: this.#amount("copied"),
      held: this.#amount("held"),
      missing: of("missing"),
      damaged: of("damaged"),
      privateRepositories: of("privateRepositories"),
      unknownRepositories: of("unknownRepositories"),
      problems: problems.kept,
      problemCount: problems.count,
    };
  }

  #amount(how: Taken): Amount {
    return this.#taken.get(how) ?? { blobs: 0, bytes: 0 };
  }
}
