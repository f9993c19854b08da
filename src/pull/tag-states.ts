import { growingCache } from "../lib/growing-cache.ts";
import type { Digest } from "../oci/digest.ts";
import type { Manifest } from "../oci/manifest.ts";
import { type Repository, repositoryPath, type Tag } from "../oci/reference.ts";
import type { Held, TagState } from "./held.ts";
import type { Holds } from "./holds.ts";

/** Tags that were released lately and that upstream has not been asked about since. */
const RELEASED_MAX = 10_000;

/** Undefined: what is known of the tag is to be forgotten. */
export type OnTag = (repository: Repository, tag: Tag, state: TagState | undefined) => void;

export interface TagStatesOptions {
  readonly held: Pick<Held, "manifest" | "tag">;
  readonly holds: Holds;
  /** Hears where a tag leads now, for whoever answers for it elsewhere. */
  readonly onTag?: OnTag | undefined;
}

/** Where tags lead for clients: to what they are held at, else to what upstream has said. */
export class TagStates {
  readonly #o: TagStatesOptions;
  /** When a tag was released, milliseconds since the epoch. */
  readonly #released = growingCache<string, number>(RELEASED_MAX);

  constructor(options: TagStatesOptions) {
    this.#o = options;
    options.holds.onChange((repository, tag) => this.#changed(repository, tag));
  }

  /** What the tag is held at; undefined: nothing. */
  holdOf(repository: Repository, tag: Tag): Digest | undefined {
    return this.#o.holds.digestOf(repository, tag);
  }

  /** A confirmation from before then does not do: the tag has been held since. */
  releasedAtMs(repository: Repository, tag: Tag): number | undefined {
    return this.#released.get(keyOf(repository, tag));
  }

  /** Where it leads as far as we know; upstream is not asked. */
  async of(repository: Repository, tag: Tag): Promise<TagState | undefined> {
    return this.#shown(repository, tag, await this.#o.held.tag(repository, tag));
  }

  /** Upstream has confirmed, moved or lost the tag. */
  heard(repository: Repository, tag: Tag, state: TagState): void {
    if (state.vanishedAtMs === undefined) this.#released.delete(keyOf(repository, tag));
    this.#o.onTag?.(repository, tag, this.#shown(repository, tag, state));
  }

  /** Tags that are held at the digest, or at what names it. */
  async heldOver(repository: Repository, digest: Digest): Promise<Tag[]> {
    const tags: Tag[] = [];
    for (const [tag, top] of this.#o.holds.of(repository)) {
      if (top === digest || (await this.#leads(repository, top, digest))) tags.push(tag);
    }
    return tags;
  }

  async #leads(repository: Repository, top: Digest, digest: Digest): Promise<boolean> {
    const manifest = await this.#o.held.manifest(repository, top);
    if (manifest === undefined) return false;
    if (names(manifest.manifest, digest)) return true;
    for (const child of manifest.manifest.manifests) {
      const held = await this.#o.held.manifest(repository, child.digest);
      if (held !== undefined && names(held.manifest, digest)) return true;
    }
    return false;
  }

  #shown(repository: Repository, tag: Tag, state: TagState | undefined): TagState | undefined {
    const digest = this.holdOf(repository, tag);
    if (digest !== undefined) return { digest, confirmedAtMs: 0, byHold: true };
    if (state === undefined || this.releasedAtMs(repository, tag) === undefined) return state;
    return { ...state, confirmedAtMs: 0 };
  }

  #changed(repository: Repository, tag: Tag): void {
    const isHeld = this.holdOf(repository, tag) !== undefined;
    if (isHeld) this.#released.delete(keyOf(repository, tag));
    else this.#released.set(keyOf(repository, tag), Date.now());
    this.#o.onTag?.(repository, tag, isHeld ? this.#shown(repository, tag, undefined) : undefined);
  }
}

function names({ manifests, blobs }: Manifest, digest: Digest): boolean {
  return [...manifests, ...blobs].some((one) => one.digest === digest);
}

function keyOf(repository: Repository, tag: Tag): string {
  return `${repositoryPath(repository)}:${tag}`;
}
