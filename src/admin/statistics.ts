import type { InventoryRow } from "../catalog/catalog.ts";

/** What statistics need of a configured registry. */
export interface CountedRegistry {
  readonly id: string;
  /** Origin of the upstream. */
  readonly upstream: string;
}

/** What statistics need of the catalog. */
export interface CountedCatalog {
  countImages(): Promise<ReadonlyMap<string, number>>;
  inventory(): Promise<readonly InventoryRow[]>;
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
  readonly repositories: readonly { readonly name: string; readonly tags: readonly string[] }[];
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

/** Rows come as `Catalog.inventory` orders them: by registry, repository, tag. */
export function statisticsOf(registries: readonly CountedRegistry[], rows: readonly InventoryRow[]): Statistics {
  const held = groupByRegistry(rows);
  const described = registries.map(({ id, upstream }) => {
    const { images, repositories } = held.get(id) ?? { images: 0, repositories: [] };
    return [id, { url: upstream, images, repositories }] as const;
  });
  const { summary } = summaryOf(registries, new Map(described.map(([id, { images }]) => [id, images])));
  return { registries: Object.fromEntries(described), summary };
}

interface Group {
  images: number;
  readonly repositories: { readonly name: string; readonly tags: string[] }[];
}

function groupByRegistry(rows: readonly InventoryRow[]): ReadonlyMap<string, Group> {
  const groups = new Map<string, Group>();
  for (const { registryId, name, tag } of rows) {
    const group = groups.get(registryId) ?? { images: 0, repositories: [] };
    groups.set(registryId, group);
    group.images += 1;
    const last = group.repositories.at(-1);
    if (last?.name === name) last.tags.push(tag);
    else group.repositories.push({ name, tags: [tag] });
  }
  return groups;
}

/** The two paths of the seed's statistics; neither asks an upstream. */
export function statisticsRoutes(catalog: CountedCatalog, registries: readonly CountedRegistry[]) {
  return {
    "/": async () => ({ status: 200, body: statisticsOf(registries, await catalog.inventory()) }),
    "/summary": async () => ({ status: 200, body: summaryOf(registries, await catalog.countImages()) }),
  };
}
