import { RegistryError } from "../oci/errors.ts";

/** What `?n=&last=` asks for (distribution-spec, "Listing Tags"). */
export interface Page {
  /** Undefined: the client does not say. */
  readonly n: number | undefined;
  /** Exclusive. */
  readonly last: string | undefined;
}

/** More is never needed in one answer and would only cost memory. */
const PAGE_ITEMS_MAX = 100_000;
/** What a client gets who names no number; the rest follows by `Link`. Few repositories have as many tags. */
export const UNPAGED_ITEMS_MAX = 10_000;

export function pageOf(query: URLSearchParams): Page {
  const n = query.get("n");
  if (n !== null && !/^\d{1,9}$/.test(n)) {
    throw new RegistryError(400, "PAGINATION_NUMBER_INVALID", "n must be a whole number, 0 or more");
  }
  return { n: n === null ? undefined : Math.min(Number(n), PAGE_ITEMS_MAX), last: query.get("last") ?? undefined };
}

/** The page out of a list in order by character code; `more` where something is left after it, never for n=0. */
export function nextPage(sorted: readonly string[], { n, last }: Page): { items: string[]; more: boolean } {
  const rest = last === undefined ? sorted : sorted.filter((one) => one > last);
  const items = rest.slice(0, n ?? UNPAGED_ITEMS_MAX);
  return { items, more: items.length > 0 && items.length < rest.length };
}
