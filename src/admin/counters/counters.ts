import type { Logger } from "pino";
import type { Count, CountingCatalog, NamedCounts, Pulled } from "../../catalog/counting.ts";
import { parseDigest } from "../../oci/digest.ts";
import { parseRepositoryName, parseTag } from "../../oci/reference.ts";
import type { FillEnd } from "../../pull/activity.ts";
import { type Counted, dayOf, MS_PER_DAY, type PulledImage, type RequestSum } from "../../server/request-sums.ts";
import type { UpstreamObserver } from "../../upstream/observer.ts";
import { countsOf, type CountersView, type DayCounts, type RegistryCounts } from "./counts.ts";
import { Pending } from "./pending.ts";

/** How long counts wait in memory; a crash loses at most so much of them. */
export const COUNTERS_FLUSH_MS = 5_000;
/** Notes of who has pulled what that wait for the catalog; those beyond are in the counters, and in no image's own numbers. */
const PULLED_MAX = 50_000;

export interface CountersOptions {
  readonly catalog: CountingCatalog;
  readonly registries: readonly { readonly id: string; readonly serves: string }[];
  readonly log: Pick<Logger, "error">;
  /** Hands over what this process has counted and not told yet; before each answer, so that it is whole. */
  readonly collect?: () => void;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/**
 * What has happened, by registry and day, in a restart-proof way: noted in memory, added to the catalog in one small transaction every
 * few seconds and at the stop. Each count is either in memory or in the catalog, never in both.
 */
export class Counters implements CountersView {
  readonly #o: CountersOptions;
  readonly #serves: ReadonlyMap<string, string>;
  readonly #now: () => number;
  #pending = new Pending();
  #pulled: Pulled[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** One reads or writes at a time: what is read while it is written would be counted twice, or not at all. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: CountersOptions) {
    this.#o = options;
    this.#now = options.now ?? Date.now;
    this.#serves = new Map(options.registries.map(({ id, serves }) => [id, serves]));
  }

  /** For the upstream room. */
  readonly observer: UpstreamObserver = {
    received: (registryId, _asked, bytes) => this.#pending.add(dayOf(this.#now()), registryId, "fetched", bytes),
  };

  /** For the pull room. */
  readonly fill = (registryId: string, how: "begun" | FillEnd): void =>
    this.#pending.add(dayOf(this.#now()), registryId, `fills.${how}`, 1);

  /** What a process has answered. */
  hear({ requests, pulled }: Counted): void {
    for (const sum of requests) this.#hearRequests(sum);
    for (const one of pulled) this.#hearPulled(one);
  }

  evicted(registryId: string, images: number, bytes: number): void {
    const day = dayOf(this.#now());
    this.#pending.add(day, registryId, "evictions", images);
    this.#pending.add(day, registryId, "evicted", bytes);
  }

  start(): void {
    this.#timer = setInterval(() => void this.flush(), COUNTERS_FLUSH_MS).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }

  /** Writes what was noted; what cannot be written waits for the next time. */
  async flush(): Promise<void> {
    this.#o.collect?.();
    await this.#inTurn(async () => await this.#write());
  }

  async total(): Promise<readonly RegistryCounts[]> {
    this.#o.collect?.();
    return await this.#inTurn(async () => {
      const kept = await this.#o.catalog.countsOfAllTime();
      const sums = new Map([...kept].map(([id, counts]) => [id, new Map(counts)]));
      for (const count of this.#pending.all()) addTo(sums, count);
      return registryCounts(sums);
    });
  }

  async byDay(from: string, to: string): Promise<readonly DayCounts[]> {
    this.#o.collect?.();
    const days = { from: dayNumber(from), to: dayNumber(to) };
    return await this.#inTurn(async () => {
      const kept = await this.#o.catalog.countsByDay(days);
      const pending = this.#pending.all().filter(({ day }) => day >= days.from && day <= days.to);
      const byDay = [...Map.groupBy([...kept, ...pending], ({ day }) => day)].toSorted(([a], [b]) => a - b);
      return byDay.map(([day, counts]) => ({ day: dayText(day), registries: registryCounts(summed(counts)) }));
    });
  }

  #hearRequests({ day, registry, outcome, requests, bytes, pulls }: RequestSum): void {
    // What is asked of the cache itself, as these very counters, is nobody's traffic.
    if (registry === undefined) return;
    this.#pending.add(day, registry, `requests.${outcome}`, requests);
    this.#pending.add(day, registry, `served.${outcome}`, bytes);
    this.#pending.add(day, registry, `pulls.${outcome}`, pulls);
  }

  #hearPulled({ registry, repository, digest, tag, ...rest }: PulledImage): void {
    const [serves, name, parsed] = [this.#serves.get(registry), parseRepositoryName(repository), parseDigest(digest)];
    if (serves === undefined || name === undefined || parsed === undefined || this.#pulled.length >= PULLED_MAX) return;
    this.#pulled.push({
      repository: { registryId: registry, serves, name },
      digest: parsed,
      tag: tag === undefined ? undefined : parseTag(tag),
      ...rest,
    });
  }

  async #write(): Promise<void> {
    const [counts, pulled] = [this.#pending, this.#pulled];
    this.#pending = new Pending();
    this.#pulled = [];
    try {
      if (!counts.isEmpty) await this.#o.catalog.addCounts(counts.all());
    } catch (error) {
      this.#pending.putBack(counts);
      this.#o.log.error({ err: error }, "counters could not be written to the catalog");
    }
    try {
      if (pulled.length > 0) await this.#o.catalog.notePulls(pulled);
    } catch (error) {
      this.#o.log.error({ err: error }, "who has pulled what could not be written to the catalog");
    }
  }

  async #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run);
    this.#turn = result.catch(() => undefined);
    return await result;
  }
}

type Sums = Map<string, Map<string, number>>;

function summed(counts: readonly Count[]): Sums {
  const sums: Sums = new Map();
  for (const count of counts) addTo(sums, count);
  return sums;
}

function addTo(sums: Sums, { registryId, name, value }: Count): void {
  const counts = sums.get(registryId) ?? new Map<string, number>();
  counts.set(name, (counts.get(name) ?? 0) + value);
  sums.set(registryId, counts);
}

function registryCounts(sums: ReadonlyMap<string, NamedCounts>): RegistryCounts[] {
  return [...sums]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([registryId, named]) => ({ registryId, counts: countsOf(named) }));
}

/** `2026-11-26`, of UTC. */
export function dayText(day: number): string {
  return new Date(day * MS_PER_DAY).toISOString().slice(0, 10);
}

/** Of `2026-11-26`. */
export function dayNumber(text: string): number {
  const day = dayOf(Date.parse(`${text}T00:00:00Z`));
  if (!/^\d{4}-\d\d-\d\d$/.test(text) || Number.isNaN(day))
    throw new RangeError(`${text} is no day such as 2026-11-26`);
  return day;
}
