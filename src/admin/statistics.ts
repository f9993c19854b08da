import type { HeldTags } from "../catalog/catalog.ts";
import type { LocalAnswer } from "../server/local.ts";
import { pageOf } from "../server/pages.ts";
import { type Cursor, cursorText, type InventoryCatalog, inventoryOf, parseCursor } from "./inventory.ts";

/** What statistics need of a configured registry. */
export interface CountedRegistry {
  readonly id: string;
  /** Origin of the upstream. */
  readonly upstream: string;
}

/** What statistics need of the catalog. */
export interface CountedCatalog extends InventoryCatalog {
  countImages(): Promise<ReadonlyMap<string, number>>;
}

/** Held repository:tag pairs by registry id, and `total`. */
export type Counts = Readonly<Record<string, number>>;

/** The body of `GET /summary`. */
export interface Summary {
  readonly summary: Counts;
}

/** The body of `GET /`. */
export interface Statistics extends Summary {
  readonly registries: Readonly<Record<string, RegistryStatistics>>;
}

export interface RegistryStatistics {
  readonly url: string;
  readonly images: number;
  readonly repositories: readonly HeldTags[];
}

/**
 * Enabled registries in the order of the configuration, those that hold nothing included. What is held of a registry that
 * is not enabled is left out, of the total too.
 */
export function summaryOf(registries: readonly CountedRegistry[], images: ReadonlyMap<string, number>): Summary {
  const counts = registries.map(({ id }) => [id, images.get(id) ?? 0] as const);
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  return { summary: Object.fromEntries([...counts, ["total", total]]) };
}

/** The counts are given where the repositories are not all there are. */
export function statisticsOf(
  registries: readonly CountedRegistry[],
  repositories: ReadonlyMap<string, readonly HeldTags[]>,
  counts?: ReadonlyMap<string, number>,
): Statistics {
  const images = counts ?? new Map([...repositories].map(([id, held]) => [id, tagsIn(held)]));
  const described = registries.map(({ id, upstream }) => {
    return [id, { url: upstream, images: images.get(id) ?? 0, repositories: repositories.get(id) ?? [] }] as const;
  });
  return { registries: Object.fromEntries(described), ...summaryOf(registries, images) };
}

function tagsIn(held: readonly HeldTags[]): number {
  return held.reduce((sum, { tags }) => sum + tags.length, 0);
}

/** Repositories in a page where the client names the place but no number. */
const PAGE_REPOSITORIES = 1_000;

/** The two paths of the seed's statistics; neither asks an upstream. */
export function statisticsRoutes(catalog: CountedCatalog, registries: readonly CountedRegistry[]) {
  return {
    "/": async (query: URLSearchParams) => await statisticsAnswer(catalog, registries, query),
    "/summary": async () => ({ status: 200, body: summaryOf(registries, await catalog.countImages()) }),
  };
}

/** Everything, or with `n` or `last` a page of the repositories; counts are always those of everything. */
async function statisticsAnswer(
  catalog: CountedCatalog,
  registries: readonly CountedRegistry[],
  query: URLSearchParams,
): Promise<LocalAnswer> {
  const ids = registries.map(({ id }) => id);
  const { n, last } = pageOf(query);
  if (n === undefined && last === undefined) {
    const { repositories } = await inventoryOf(catalog, ids, { limit: Infinity });
    return { status: 200, body: statisticsOf(registries, repositories) };
  }
  const limit = n ?? PAGE_REPOSITORIES;
  const after = last === undefined ? undefined : parseCursor(last, ids);
  const { repositories, next } = await inventoryOf(catalog, ids, { limit, after });
  const body = statisticsOf(registries, repositories, await catalog.countImages());
  return { status: 200, body, headers: next === undefined ? {} : linkTo(limit, next) };
}

/** RFC 8288, as the registry API pages its lists. */
function linkTo(n: number, next: Cursor): Record<string, string> {
  const query = new URLSearchParams({ n: String(n), last: cursorText(next) });
  return { Link: `</?${query.toString()}>; rel="next"` };
}
