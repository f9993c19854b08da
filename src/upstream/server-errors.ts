/** How many 5xx of one repository speak against its whole upstream; the others say only that this repository fails. */
export const COUNTED_PER_REPOSITORY = 2;
const REPOSITORIES_MAX = 1_000;

/** Tells one broken repository (or one blob that a content network lost) from an upstream that is down. */
export class ServerErrors {
  readonly #counts = new Map<string, number>();

  /** Counts one; whether it speaks against the upstream. */
  add(repository: string): boolean {
    const count = (this.#counts.get(repository) ?? 0) + 1;
    if (this.#counts.size < REPOSITORIES_MAX || count > 1) this.#counts.set(repository, count);
    return count <= COUNTED_PER_REPOSITORY;
  }

  /** Something was answered: the upstream is there. */
  clear(): void {
    this.#counts.clear();
  }
}
