import type { Logger } from "pino";
import type { Catalog, HeldRoot, Leaving, LeavingContent } from "../../catalog/catalog.ts";
import type { Digest } from "../../oci/digest.ts";
import { type Repository, repositoryPath, type Tag } from "../../oci/reference.ts";
import type { Departed, Departures } from "../../pull/departures.ts";
import type { Shortage } from "../../pull/room.ts";
import { type Worth, worthOf } from "./choose.ts";
import type { Hand, Why } from "./clear.ts";

/** Something that has gone, or would go. */
export interface Evicted {
  readonly repository: Repository;
  /** The image's; undefined for a blob that no held manifest names. */
  readonly digest: Digest | undefined;
  readonly tags: readonly Tag[];
  /** That came back, or would. */
  readonly bytes: number;
  readonly why: Why;
  /** Milliseconds since the epoch. */
  readonly lastUsedAtMs: number;
}

/** Of one repository so many manifests that would have gone are reckoned with; a query must have an end. */
const RECKONED_MAX = 5_000;

type EvictingCatalog = Pick<Catalog, "leaving">;

/** Really takes images away. */
export class TakingHand implements Hand {
  readonly #catalog: EvictingCatalog;
  readonly #departures: Pick<Departures, "remove">;
  readonly #shortage: () => Promise<Shortage | undefined>;
  readonly #onEvicted: (evicted: Evicted) => void;
  readonly #log: Pick<Logger, "error">;
  #diskLack: number | undefined;
  #freed = 0;

  constructor(options: {
    catalog: EvictingCatalog;
    departures: Pick<Departures, "remove">;
    shortage: () => Promise<Shortage | undefined>;
    onEvicted: (evicted: Evicted) => void;
    log: Pick<Logger, "error">;
  }) {
    this.#log = options.log;
    this.#catalog = options.catalog;
    this.#departures = options.departures;
    this.#shortage = options.shortage;
    this.#onEvicted = options.onEvicted;
  }

  /**
   * A file that somebody reads, or that has another name elsewhere, leaves the disk as full as it was: what has gone is counted
   * once, so that one such file does not empty the cache.
   */
  async lack(): Promise<Shortage | undefined> {
    const shortage = await this.#shortage();
    if (shortage === undefined) return undefined;
    this.#diskLack ??= shortage.disk;
    const disk = Math.min(shortage.disk, Math.max(0, this.#diskLack - this.#freed));
    return shortage.all > 0 || disk > 0 || shortage.byRegistry.size > 0 ? { ...shortage, disk } : undefined;
  }

  async leaving({ repository, digest }: HeldRoot): Promise<Leaving | undefined> {
    return await this.#catalog.leaving(repository, digest);
  }

  worth({ contents }: Leaving): Worth {
    return worthOf(contents);
  }

  /** What leaves is found out anew, when nobody keeps anything there. One that cannot be removed keeps no other from it. */
  async take({ repository, root }: Leaving, why: Why): Promise<number | "busy" | undefined> {
    if (root === undefined) return undefined;
    const departed = await this.#removed(repository, root);
    if (departed === undefined || departed === "busy") return departed;
    this.#freed += departed.bytes;
    this.#onEvicted(evictedOf(departed, why));
    return departed.bytes;
  }

  async #removed(repository: Repository, root: Digest): Promise<Departed | "busy" | undefined> {
    try {
      const find = async () => await this.#catalog.leaving(repository, root);
      return await this.#departures.remove(repository, find);
    } catch (error) {
      this.#log.error(
        { repository: repositoryPath(repository), digest: root, err: error },
        "an image could not be evicted",
      );
      return undefined;
    }
  }
}

export function evictedOf({ leaving, bytes }: Departed, why: Why): Evicted {
  const { repository, root, tags, lastUsedAtMs } = leaving;
  return { repository, digest: root, tags, bytes, why, lastUsedAtMs };
}

/** Notes what would go, and reckons with that: what two images share comes back with the second. */
export class PlanningHand implements Hand {
  readonly planned: Evicted[] = [];
  readonly #catalog: EvictingCatalog;
  readonly #shortage: Shortage | undefined;
  readonly #plannedMax: number;
  readonly #goneOf = new Map<string, Digest[]>();
  readonly #goneLinks = new Map<string, number>();
  #freed = 0;
  readonly #freedOf = new Map<string, number>();

  constructor(catalog: EvictingCatalog, shortage: Shortage | undefined, plannedMax: number) {
    this.#catalog = catalog;
    this.#shortage = shortage;
    this.#plannedMax = plannedMax;
  }

  /** Bytes that would come back. */
  get freed(): number {
    return this.#freed;
  }

  async lack(): Promise<Shortage | undefined> {
    return this.planned.length >= this.#plannedMax ? undefined : this.lackOf(this.#shortage);
  }

  /** What would be left of it. */
  lackOf(shortage: Shortage | undefined): Shortage | undefined {
    if (shortage === undefined) return undefined;
    const { all, disk, byRegistry } = shortage;
    const left = [...byRegistry].map(([id, bytes]) => [id, bytes - (this.#freedOf.get(id) ?? 0)] as const);
    const lack = {
      all: Math.max(0, all - this.#freed),
      disk: Math.max(0, disk - this.#freed),
      byRegistry: new Map(left.filter(([, bytes]) => bytes > 0)),
    };
    return lack.all > 0 || lack.disk > 0 || lack.byRegistry.size > 0 ? lack : undefined;
  }

  async leaving({ repository, digest }: { repository: Repository; digest: Digest }): Promise<Leaving | undefined> {
    return await this.#catalog.leaving(repository, digest, this.#goneOf.get(repositoryPath(repository)) ?? []);
  }

  worth({ contents, repository }: Leaving): Worth {
    return worthOf(contents, (content) => this.#gone(repository, content));
  }

  async take(leaving: Leaving, why: Why): Promise<number | undefined> {
    const { repository, root } = leaving;
    // What was planned since may have changed what goes with it.
    const now = root === undefined ? leaving : await this.leaving({ repository, digest: root });
    if (now === undefined) return undefined;
    const { bytes, registryBytes } = this.worth(now);
    this.#note(now, bytes, registryBytes);
    this.planned.push(evictedOf({ leaving: now, bytes }, why));
    return bytes;
  }

  #note({ repository, manifests, contents }: Leaving, bytes: number, registryBytes: number): void {
    const { registryId } = repository;
    const path = repositoryPath(repository);
    const gone = [...(this.#goneOf.get(path) ?? []), ...manifests.map(({ digest }) => digest)];
    this.#goneOf.set(path, gone.slice(-RECKONED_MAX));
    for (const { digest, leaves } of contents) {
      for (const key of [digest, `${digest} ${registryId}`])
        this.#goneLinks.set(key, (this.#goneLinks.get(key) ?? 0) + leaves);
    }
    this.#freed += bytes;
    this.#freedOf.set(registryId, (this.#freedOf.get(registryId) ?? 0) + registryBytes);
  }

  #gone({ registryId }: Repository, { digest }: LeavingContent): { all: number; registry: number } {
    return {
      all: this.#goneLinks.get(digest) ?? 0,
      registry: this.#goneLinks.get(`${digest} ${registryId}`) ?? 0,
    };
  }
}
