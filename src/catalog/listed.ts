import type { Catalog } from "./catalog.ts";

/** What lists are made of. */
export type ListedCatalog = Pick<Catalog, "countImages" | "inventory" | "repositories">;

/** The same without the names of repositories of which something was fetched with these credentials. */
export function withoutFetchedWith(catalog: Catalog, credentialId: string): ListedCatalog {
  return {
    countImages: async () => await catalog.countImages(),
    inventory: async (query) => await catalog.inventory({ ...query, exceptFetchedWith: credentialId }),
    repositories: async (query) => await catalog.repositories({ ...query, exceptFetchedWith: credentialId }),
  };
}
