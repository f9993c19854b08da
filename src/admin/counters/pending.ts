import type { Count } from "../../catalog/counting.ts";
import type { CounterName } from "./counts.ts";

/** Counts that the catalog does not have yet; bounded by days, registries and names. */
export class Pending {
  readonly #days = new Map<number, Map<string, Map<string, number>>>();

  get isEmpty(): boolean {
    return this.#days.size === 0;
  }

  add(day: number, registryId: string, name: CounterName, value: number): void {
    this.#add(day, registryId, name, value);
  }

  /** What could not be written. */
  putBack(counts: Pending): void {
    for (const { day, registryId, name, value } of counts.all()) this.#add(day, registryId, name, value);
  }

  all(): Count[] {
    return [...this.#days].flatMap(([day, registries]) =>
      [...registries].flatMap(([registryId, counts]) =>
        [...counts].map(([name, value]) => ({ day, registryId, name, value })),
      ),
    );
  }

  /** Texts would be made anew with each piece of a body. */
  #add(day: number, registryId: string, name: string, value: number): void {
    if (value === 0) return;
    let registries = this.#days.get(day);
    if (registries === undefined) this.#days.set(day, (registries = new Map()));
    let counts = registries.get(registryId);
    if (counts === undefined) registries.set(registryId, (counts = new Map()));
    counts.set(name, (counts.get(name) ?? 0) + value);
  }
}
