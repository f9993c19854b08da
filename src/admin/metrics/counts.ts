/** Counts by labels, of which each has few values. */
export class Counts<Names extends string> {
  readonly #counts = new Map<string, { readonly labels: Readonly<Record<Names, string>>; count: number }>();

  add(labels: Readonly<Record<Names, string>>, count = 1): void {
    const key = Object.values(labels).join(" ");
    const counted = this.#counts.get(key);
    if (counted === undefined) this.#counts.set(key, { labels, count });
    else counted.count += count;
  }

  [Symbol.iterator]() {
    return this.#counts.values();
  }
}
