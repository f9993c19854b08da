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

export interface Hold {
  readonly repository: Repository;
  readonly tag: Tag;
  readonly digest: Digest;
}

export type HoldListener = (repository: Repository, tag: Tag) => void;

/** Holds in memory; where they are kept is somebody else's affair. */
export class HoldsInMemory implements Holds {
  readonly #held = new Map<string, { readonly repository: Repository; readonly tags: Map<Tag, Digest> }>();
  readonly #listeners: HoldListener[] = [];

  digestOf(repository: Repository, tag: Tag): Digest | undefined {
    return this.#held.get(repositoryPath(repository))?.tags.get(tag);
  }

  of(repository: Repository): Iterable<readonly [Tag, Digest]> {
    return this.#held.get(repositoryPath(repository))?.tags ?? [];
  }

  onChange(listener: HoldListener): void {
    this.#listeners.push(listener);
  }

  /** These, and no others, from now on. */
  replace(holds: readonly Hold[]): void {
    const wanted = new Set(holds.map(({ repository, tag }) => `${repositoryPath(repository)}:${tag}`));
    for (const [path, { repository, tags }] of this.#held) {
      for (const tag of tags.keys()) if (!wanted.has(`${path}:${tag}`)) this.release(repository, tag);
    }
    for (const { repository, tag, digest } of holds) this.hold(repository, tag, digest);
  }

  /** Nothing happens where it is held there already. */
  hold(repository: Repository, tag: Tag, digest: Digest): void {
    const path = repositoryPath(repository);
    if (this.digestOf(repository, tag) === digest) return;
    const { tags } = this.#held.get(path) ?? { tags: new Map<Tag, Digest>() };
    this.#held.set(path, { repository, tags: tags.set(tag, digest) });
    for (const hear of this.#listeners) hear(repository, tag);
  }

  /** False where it was not held. */
  release(repository: Repository, tag: Tag): boolean {
    const path = repositoryPath(repository);
    const tags = this.#held.get(path)?.tags;
    if (tags?.delete(tag) !== true) return false;
    if (tags.size === 0) this.#held.delete(path);
    for (const hear of this.#listeners) hear(repository, tag);
    return true;
  }
}
