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

/** As what a digest is asked for. */
type ContentKind = "manifest" | "blob";

/** That a tag points to a digest, by the word of its upstream. */
export interface Pointing {
  readonly digest: Digest;
  /** When upstream last said so, milliseconds since the epoch. */
  readonly confirmedAtMs: number;
}

/** Since when a tag pointed to a digest. */
export interface Sighting extends Pointing {
  /** Milliseconds since the epoch. */
  readonly firstSeenAtMs: number;
}

/** What is remembered of the past. */
export interface Sightings {
  /** When the repository was first seen to have the digest, or a manifest that leads to it; undefined: never. */
  firstSeen(repository: Repository, digest: Digest, kind: ContentKind): Promise<number | undefined>;
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
  async assertOver(
    repository: Repository,
    digest: Digest,
    kind: ContentKind,
    minAge: MinAge,
    nowMs: number,
  ): Promise<void> {
    const firstSeenAtMs = await this.#sightings.firstSeen(repository, digest, kind);
    if (firstSeenAtMs === undefined || nowMs < firstSeenAtMs + minAge.ms) throw tooNew(firstSeenAtMs ?? nowMs, minAge);
  }

  /** When a manifest is old enough, from what is known now on. */
  async overAtMs(repository: Repository, digest: Digest, minAge: MinAge, nowMs: number): Promise<number> {
    return ((await this.#sightings.firstSeen(repository, digest, "manifest")) ?? nowMs) + minAge.ms;
  }

  /** What a tag that points there is to be answered with: that, or what it pointed to before. Rejects with 403. */
  async over(repository: Repository, tag: Tag, present: Pointing, minAge: MinAge, nowMs: number): Promise<Digest> {
    const overAtMs = await this.overAtMs(repository, present.digest, minAge, nowMs);
    if (isOver(present, overAtMs, nowMs)) return present.digest;
    const before = lastOver(await this.#sightings.tagHistory(repository, tag), present.digest, minAge, nowMs);
    if (before !== undefined) return before;
    throw nowMs < overAtMs ? tooNew(overAtMs - minAge.ms, minAge) : unconfirmed(overAtMs, minAge);
  }
}

/**
 * Old enough, and upstream had it then: nobody else can tell whether it was taken back meanwhile. What was confirmed in the future was so
 * by a wrong clock.
 */
function isOver({ confirmedAtMs }: Pointing, overAtMs: number, nowMs: number): boolean {
  return confirmedAtMs >= overAtMs && confirmedAtMs <= nowMs;
}

/** The latest digest but this one that was still there when it was old enough: one that was replaced before may have been so for a reason. */
export function lastOver(
  history: readonly Sighting[],
  present: Digest,
  { ms }: MinAge,
  nowMs: number,
): Digest | undefined {
  return history.find((sighting) => sighting.digest !== present && isOver(sighting, sighting.firstSeenAtMs + ms, nowMs))
    ?.digest;
}

function tooNew(firstSeenAtMs: number, { ms, rule }: MinAge): RegistryError {
  const [since, until] = [firstSeenAtMs, firstSeenAtMs + ms].map((atMs) => new Date(atMs).toISOString());
  const message = `this is too new for rule ${rule} of this cache: first seen here at ${since}, given out from ${until} on`;
  return new RegistryError(403, "DENIED", message);
}

function unconfirmed(overAtMs: number, { rule }: MinAge): RegistryError {
  const since = new Date(overAtMs).toISOString();
  const message = `upstream has not said since ${since}, when this became old enough for rule ${rule} of this cache, that the tag still points to it`;
  return new RegistryError(403, "DENIED", message);
}
