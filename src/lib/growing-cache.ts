import { LRUCache } from "lru-cache";

/**
 * A cache of up to so many entries, the least lately used leave first. With `max` the library would take the memory of a
 * full one at once, 36 bytes an entry: ten megabytes for caches that mostly stay small.
 */
export function growingCache<K extends {}, V extends {}>(entriesMax: number): LRUCache<K, V> {
  return new LRUCache<K, V>({ maxSize: entriesMax, sizeCalculation: () => 1 });
}
