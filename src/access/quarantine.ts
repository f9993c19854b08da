import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { Repository, Tag } from "../oci/reference.ts";

/** How old something must be, by which rule. */
export interface MinAge {
  /** Milliseconds. */
  readonly ms: number;
  /** Counted from 1. */
  readonly rule: number;
}

/** Since when a tag pointed to a digest. */
export interface Sighting {
  readonly digest: Digest;
  /** Milliseconds since the epoch. */
  readonly firstSeenAtMs: number;
}

/** What is remembered of the past. */
export interface Sightings {
  /** When the repository was first seen to have the digest, or a manifest that leads to it; undefined: never. */
  firstSeen(repository: Repository, digest: Digest): Promise<number | undefined>;
  /** Where the tag points and has pointed, the latest first. */
  tagHistory(repository: Repository, tag: Tag): Promise<readonly Sighting[]>;
}

/**
 * Keeps back what is new, so that others find out first what is wrong with it (`min_age` of a rule). Age counts from when this cache has
 * seen something first: what an image says of itself anybody may have written.
 */
export class Quarantine {
  readonly #sightings: Sightings;

  constructor(sightings: Sightings) {
    this.#sightings = sightings;
  }

  /** Rejects with 403 what is not old enough. */
  async assertOver(repository: Repository, digest: Digest, minAge: MinAge, nowMs: number): Promise<void> {
    const firstSeenAtMs = await this.#sightings.firstSeen(repository, digest);
    if (!isOver(firstSeenAtMs, minAge, nowMs)) throw tooNew(firstSeenAtMs ?? nowMs, minAge);
  }

  /** What a tag that points to `digest` is to be answered with: that, or what it pointed to before. Rejects with 403. */
  async over(repository: Repository, tag: Tag, digest: Digest, minAge: MinAge, nowMs: number): Promise<Digest> {
    const firstSeenAtMs = (await this.#sightings.firstSeen(repository, digest)) ?? nowMs;
    if (isOver(firstSeenAtMs, minAge, nowMs)) return digest;
    const before = lastOver(await this.#sightings.tagHistory(repository, tag), digest, minAge, nowMs);
    if (before === undefined) throw tooNew(firstSeenAtMs, minAge);
    return before;
  }
}

function isOver(firstSeenAtMs: number | undefined, { ms }: MinAge, nowMs: number): boolean {
  return firstSeenAtMs !== undefined && nowMs - firstSeenAtMs >= ms;
}

/** The latest digest but this one that stayed until it was old enough: one that was replaced before may have been so for a reason. */
export function lastOver(
  history: readonly Sighting[],
  present: Digest,
  { ms }: MinAge,
  nowMs: number,
): Digest | undefined {
  let leftAtMs = nowMs;
  for (const { digest, firstSeenAtMs } of history) {
    if (digest !== present && leftAtMs - firstSeenAtMs >= ms) return digest;
    leftAtMs = firstSeenAtMs;
  }
  return undefined;
}

function tooNew(firstSeenAtMs: number, { ms, rule }: MinAge): RegistryError {
  const [since, until] = [firstSeenAtMs, firstSeenAtMs + ms].map((atMs) => new Date(atMs).toISOString());
  const message = `this is too new for rule ${rule} of this cache: first seen here at ${since}, given out from ${until} on`;
  return new RegistryError(403, "DENIED", message);
}
