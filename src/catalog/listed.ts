import type { Catalog, Unlisted } from "./catalog.ts";

/** What lists are made of. */
export type ListedCatalog = Pick<Catalog, "countImages" | "inventory" | "repositories">;

/** The same without the names of some repositories; they are counted all the same. */
export function withoutPrivate(catalog: Catalog, except: Unlisted): ListedCatalog {
  return {
    countImages: async () => await catalog.countImages(),
    inventory: async (query) => await catalog.inventory({ ...query, except }),
    repositories: async (query) => await catalog.repositories({ ...query, except }),
  };
}
