import type { ImageRow } from "../../catalog/images.ts";
import { InventoryError } from "./errors.ts";
import type { ImageSort } from "./image.ts";

/** Where an image stands in a list: by its key, the largest first, then by name. */
export interface Place {
  /** Of the sort; 0 where that is by name. */
  readonly key: number;
  /** `docker.io/library/nginx`. */
  readonly path: string;
  readonly digest: string;
}

/** Below every time and count, so that what was never pulled comes last. */
const NEVER = -1;

export function placeOf(row: ImageRow, sort: ImageSort, size: number | undefined): Place {
  return { key: keyOf(row, sort, size), path: pathOf(row), digest: row.digest };
}

export function pathOf({ serves, repository }: Pick<ImageRow, "serves" | "repository">): string {
  return `${serves}/${repository}`;
}

function keyOf(row: ImageRow, sort: ImageSort, size = 0): number {
  switch (sort) {
    case "name":
      return 0;
    case "size":
      return size;
    case "lastPulled":
      return row.lastPulledAtMs ?? NEVER;
    case "pulls":
      return row.pulls;
  }
}

/** Below 0 where the first comes before the second. */
export function compare(a: Place, b: Place): number {
  if (a.key !== b.key) return b.key - a.key;
  if (a.path !== b.path) return a.path < b.path ? -1 : 1;
  return a.digest === b.digest ? 0 : a.digest < b.digest ? -1 : 1;
}

/** `compare`, or the other way round. */
export function orderOf(isReverse: boolean): typeof compare {
  return isReverse ? (a, b) => compare(b, a) : compare;
}

/** How a list is called within its cursors. */
export type ListOrder = ImageSort | `-${ImageSort}`;

/** The first so many of what is put in, however many that are. */
export class First<T> {
  readonly items: { readonly place: Place; readonly item: T }[] = [];
  readonly #max: number;
  readonly #compare: typeof compare;

  constructor(max: number, order: typeof compare) {
    this.#max = max;
    this.#compare = order;
  }

  put(place: Place, item: T): void {
    let at = this.items.length;
    while (at > 0 && this.#compare(place, (this.items[at - 1] as { place: Place }).place) < 0) at -= 1;
    if (at === this.#max) return;
    this.items.splice(at, 0, { place, item });
    if (this.items.length > this.#max) this.items.pop();
  }
}

export function cursorOf(sort: ListOrder, { key, path, digest }: Place): string {
  return Buffer.from(JSON.stringify([sort, key, path, digest])).toString("base64url");
}

export function parseCursor(sort: ListOrder, text: string): Place {
  const [of, key, path, digest] = partsOf(text);
  if (of !== sort || typeof key !== "number" || typeof path !== "string" || typeof digest !== "string")
    throw new InventoryError("after", "after is not what a page of this list has given as its next");
  return { key, path, digest };
}

function partsOf(text: string): readonly unknown[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(text, "base64url").toString());
    return Array.isArray(parts) ? parts : [];
  } catch {
    return [];
  }
}
