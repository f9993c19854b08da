import { setImmediate as otherWork } from "node:timers/promises";
import type { HeldTags } from "../catalog/catalog.ts";
import { RegistryError } from "../oci/errors.ts";

/** What the inventory needs of the catalog. */
export interface InventoryCatalog {
  inventory(query: { registryId: string; last?: string; limit: number }): Promise<readonly HeldTags[]>;
}

/** A place in the inventory, which goes by the order of the registries and then by name. */
export interface Cursor {
  readonly registryId: string;
  /** Empty: before the registry's first repository. */
  readonly name: string;
}

export interface InventoryPage {
  /** By registry id, each in lexical order. */
  readonly repositories: ReadonlyMap<string, readonly HeldTags[]>;
  /** Where a page follows: what this one ends with. */
  readonly next: Cursor | undefined;
}

/** Repositories in one query. SQLite answers at once: thousands of tags would keep every socket waiting. */
const REPOSITORIES_PER_QUERY = 100;

/** The first repositories with held tags after a place, and whether there are more. */
export async function inventoryOf(
  catalog: InventoryCatalog,
  registryIds: readonly string[],
  { limit, after }: { readonly limit: number; readonly after?: Cursor | undefined },
): Promise<InventoryPage> {
  const repositories = new Map<string, HeldTags[]>();
  let [left, end]: [number, Cursor | undefined] = [limit, undefined];
  for (const registryId of after === undefined
    ? registryIds
    : registryIds.slice(registryIds.indexOf(after.registryId))) {
    const held: HeldTags[] = [];
    repositories.set(registryId, held);
    let last = registryId === after?.registryId ? after.name : "";
    for (let more = true; more;) {
      // One more than wanted tells whether there is one.
      const asked = Math.min(left + 1, REPOSITORIES_PER_QUERY);
      const found = await catalog.inventory({ registryId, last, limit: asked });
      const taken = found.slice(0, left);
      held.push(...taken);
      last = taken.at(-1)?.name ?? last;
      if (taken.length > 0) end = { registryId, name: last };
      left -= taken.length;
      if (found.length > taken.length) return { repositories, next: end };
      more = found.length === asked;
      await otherWork();
    }
  }
  return { repositories, next: undefined };
}

/** `<registry id>/<repository>`, as `cursorText` writes it; a registry's id alone is the place before its first one. */
export function parseCursor(text: string, registryIds: readonly string[]): Cursor {
  const slash = text.indexOf("/");
  const registryId = slash === -1 ? text : text.slice(0, slash);
  if (!registryIds.includes(registryId)) {
    throw new RegistryError(
      400,
      "PAGINATION_NUMBER_INVALID",
      "last must begin with the id of a registry, as in the Link",
    );
  }
  return { registryId, name: slash === -1 ? "" : text.slice(slash + 1) };
}

export function cursorText({ registryId, name }: Cursor): string {
  return `${registryId}/${name}`;
}
