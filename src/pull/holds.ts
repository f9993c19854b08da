import type { Digest } from "../oci/digest.ts";
import { type Repository, repositoryPath, type Tag } from "../oci/reference.ts";

/** Tags that are held at a digest: they lead there, whatever upstream says of them. */
export interface Holds {
  /** Undefined where the tag is not held. */
  digestOf(repository: Repository, tag: Tag): Digest | undefined;
  /** All of a repository. */
  of(repository: Repository): Iterable<readonly [Tag, Digest]>;
  /** The listener hears of each tag that is held or released, in the same turn, so that nobody can have seen it before. */
  onChange(listener: HoldListener): void;
}

export type HoldListener = (repository: Repository, tag: Tag) => void;

/** Holds in memory; where they are kept is somebody else's affair. */
export class HoldsInMemory implements Holds {
  readonly #digests = new Map<string, Map<Tag, Digest>>();
  readonly #listeners: HoldListener[] = [];

  digestOf(repository: Repository, tag: Tag): Digest | undefined {
    return this.#digests.get(repositoryPath(repository))?.get(tag);
  }

  of(repository: Repository): Iterable<readonly [Tag, Digest]> {
    return this.#digests.get(repositoryPath(repository)) ?? [];
  }

  onChange(listener: HoldListener): void {
    this.#listeners.push(listener);
  }

  hold(repository: Repository, tag: Tag, digest: Digest): void {
    const path = repositoryPath(repository);
    const tags = this.#digests.get(path) ?? new Map<Tag, Digest>();
    this.#digests.set(path, tags.set(tag, digest));
    for (const hear of this.#listeners) hear(repository, tag);
  }

  /** False where it was not held. */
  release(repository: Repository, tag: Tag): boolean {
    const path = repositoryPath(repository);
    const tags = this.#digests.get(path);
    if (tags?.delete(tag) !== true) return false;
    if (tags.size === 0) this.#digests.delete(path);
    for (const hear of this.#listeners) hear(repository, tag);
    return true;
  }
}
