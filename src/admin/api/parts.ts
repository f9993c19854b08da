import type { TagSighting } from "../../catalog/catalog.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Repository, Tag } from "../../oci/reference.ts";
import type { ReindexReport } from "../../upkeep/reindex-report.ts";
import type { Evicted } from "../../upkeep/evict/hands.ts";

/**
 * What the API tells of and acts on, as it needs it: `app.ts` brings what the rooms have into these shapes. Times are
 * milliseconds since the epoch, sizes bytes.
 */

/** What is held, and what may be. */
export interface RoomView {
  now(): Promise<Room>;
}

export interface Room {
  /** Distinct stored contents. */
  readonly heldBytes: number;
  /** What fills have left unfinished. */
  readonly partialBytes: number;
  /** Undefined: as much as the disk has room for. */
  readonly maxBytes: number | undefined;
  readonly byRegistry: ReadonlyMap<string, { readonly bytes: number; readonly maxBytes: number | undefined }>;
  /** Undefined where the system does not say. */
  readonly disk: { readonly freeBytes: number; readonly totalBytes: number; readonly minFreeBytes: number } | undefined;
}

/** What is never evicted, and which tags are held at a digest. */
export interface PinBook {
  list(): Promise<readonly Pin[]>;
  /** As it stands in the list then; one of the same image is replaced. Rejects with a `ProblemError` what can be no image. */
  put(image: string, note: string | undefined): Promise<Pin>;
  /** As it stood in the list; undefined where it did not. Rejects with a `ProblemError` for one of the configuration. */
  remove(image: string): Promise<Pin | undefined>;
}

export interface Pin {
  /** `docker.io/library/nginx:1.27`, a glob, or with `@sha256:...` behind a tag, which is then held there. */
  readonly image: string;
  /** A tag that is held at a digest, whatever upstream says. */
  readonly isHold: boolean;
  /** Of a hold that was just made, whether what it leads to is held. */
  readonly isHeld?: boolean | undefined;
  /** Where it is not held, why upstream could not be asked whether that has it. */
  readonly unconfirmed?: string | undefined;
  readonly note: string | undefined;
  /** It stands under `pins` in the configuration. */
  readonly isConfigured: boolean;
}

/** What takes images away. */
export interface Evicting {
  /** What policy would take away now. */
  plan(): Promise<Eviction>;
  /** Takes it away. */
  prune(): Promise<Eviction>;
  /** Rejects with a `ProblemError` what can be no image. */
  evict(asked: EvictAsked): Promise<Eviction>;
}

export interface EvictAsked {
  /** References and globs over whole images. */
  readonly images: readonly string[];
  /** All that is held of a registry, by id. */
  readonly registryId: string | undefined;
  /** Only tell what would go. */
  readonly isDryRun: boolean;
}

export interface Eviction {
  /** In the order in which they go; of many the first ones. */
  readonly images: readonly Evicted[];
  readonly imageCount: number;
  /** All that comes back, what nobody has among it. */
  readonly bytes: number;
  /** What was meant and stays, and why. */
  readonly kept: readonly { readonly image: string; readonly why: string }[];
  /** Stored bytes that no repository has. */
  readonly orphans: { readonly count: number; readonly bytes: number };
  /** What lacks all the same, bytes, since pins keep the rest; 0: nothing. */
  readonly lackingBytes: number;
}

export interface Scrubbing {
  state(): ScrubState;
  /** False where it is under way already. Without a rate it is the usual one. */
  start(bytesPerSecond?: number): boolean;
  /** False where nothing is under way. It goes on from there the next time. */
  stop(): boolean;
}

export interface ScrubState {
  readonly isRunning: boolean;
  readonly blobsDone: number;
  readonly blobs: number;
  readonly bytesDone: number;
  readonly bytes: number;
  readonly damaged: number;
  readonly healed: number;
  readonly startedAtMs: number | undefined;
  readonly finishedAtMs: number | undefined;
}

export interface Reindexes {
  state(): ReindexNow;
  /** False where it is under way already. */
  start(): boolean;
}

export interface ReindexNow {
  readonly isRunning: boolean;
  readonly repositories: number;
  readonly report: ReindexReport | undefined;
  readonly failure: string | undefined;
}

export interface TagHistories {
  of(repository: Repository, tag: Tag): Promise<TagHistory>;
}

export interface TagHistory {
  /** The latest first; none where the tag is not known. */
  readonly sightings: readonly TagSighting[];
  /** Where it is held, whatever upstream says. */
  readonly heldAt: Digest | undefined;
}
