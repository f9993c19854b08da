import { growingCache } from "../lib/growing-cache.ts";
import { type Repository, repositoryPath, type Tag } from "../oci/reference.ts";
import type { TagState } from "../pull/held.ts";
import type { TagNews } from "./messages.ts";

const TAGS_MAX = 100_000;

/**
 * Where tags point, as the owner says. One that a client asks for for the first time is asked for there, and whatever the
 * owner learns of it later is told without asking; so no front serves a tag that another process has seen move.
 */
export class FollowedTags {
  readonly #ask: (repository: Repository, tag: Tag) => void;
  /** `asked`: the owner has not answered, or does not know. */
  readonly #states = growingCache<string, TagState | "asked">(TAGS_MAX);

  constructor(ask: (repository: Repository, tag: Tag) => void) {
    this.#ask = ask;
  }

  state(repository: Repository, tag: Tag): TagState | undefined {
    const key = keyOf(repository, tag);
    const state = this.#states.get(key);
    if (state === undefined) {
      this.#states.set(key, "asked");
      this.#ask(repository, tag);
      return undefined;
    }
    return state === "asked" ? undefined : state;
  }

  /** Of tags that nobody here has asked for, nothing is remembered. */
  hear({ repository, tag, state }: TagNews): void {
    const key = keyOf(repository, tag);
    if (!this.#states.has(key)) return;
    // Whoever comes next asks anew.
    if (state === undefined) this.#states.delete(key);
    else this.#states.set(key, state);
  }
}

function keyOf(repository: Repository, tag: Tag): string {
  return `${repositoryPath(repository)}:${tag}`;
}
