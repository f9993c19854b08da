import { parseTag, type Repository } from "../oci/reference.ts";
import type { Outcome } from "./outcome.ts";
import type { SavedLists } from "./saved-lists.ts";

export interface TagsAnswer {
  /** All of upstream's tags in lexical order. */
  readonly tags: readonly string[];
  readonly outcome: Outcome;
}

/** Upstream's tags of a repository: not what we hold, since tools that look for updates ask for them. */
export async function listTags(lists: SavedLists, repository: Repository): Promise<TagsAnswer> {
  const { body, outcome } = await lists.get(repository, "tags", "", async (registry, signal) => {
    const tags = await registry.upstream.listTags(repository.name, signal);
    return JSON.stringify([...new Set(tags.filter((tag) => parseTag(tag) !== undefined))].toSorted(byCodeUnit));
  });
  return { tags: JSON.parse(body) as string[], outcome };
}

/** distribution-spec, "Listing Tags": lexical, which registries take as by character code. */
function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
