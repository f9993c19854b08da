import type { Digest } from "../oci/digest.ts";
import type { Reference, Repository, Tag } from "../oci/reference.ts";
import type { BlobAnswer } from "./blob-answer.ts";
import { ageS } from "./freshness.ts";
import type { TagState } from "./held.ts";
import { Hits, type HitsOptions } from "./hits.ts";
import type { ManifestAnswer } from "./manifests.ts";
import type { StaleReason } from "./outcome.ts";

export interface OpenlyHeldOptions extends Pick<HitsOptions, "content" | "blobs" | "notebook"> {
  /** Where a tag points as far as we know; upstream is not asked. */
  readonly tagState: (repository: Repository, tag: Tag) => Promise<TagState | undefined>;
}

/** What is held and was had without credentials: all that is given out while nobody can say who may have more. */
export class OpenlyHeld {
  readonly #hits: Hits;
  readonly #tagState: OpenlyHeldOptions["tagState"];

  constructor({ tagState, ...ofHits }: OpenlyHeldOptions) {
    this.#tagState = tagState;
    this.#hits = new Hits({ ...ofHits, tagState: () => undefined, tagPolicies: new Map() });
  }

  /** Undefined where there is none. */
  async manifest(repository: Repository, reference: Reference, why: StaleReason): Promise<ManifestAnswer | undefined> {
    if (reference.kind === "digest") return await this.#hits.manifest(repository, reference);
    const state = await this.#tagState(repository, reference.tag);
    if (state === undefined) return undefined;
    const held = await this.#hits.manifest(repository, { kind: "digest", digest: state.digest });
    return (
      held && {
        ...held,
        confirmedAtMs: state.confirmedAtMs,
        // Of a tag that is held at a digest upstream's word is not missing.
        outcome:
          state.byHold === true
            ? { kind: "hit", byHold: true }
            : { kind: "stale", reason: why, ageS: ageS(state.confirmedAtMs, Date.now()) },
      }
    );
  }

  /** `signal` is the client's. What is answered must be closed. */
  async blob(repository: Repository, digest: Digest, signal: AbortSignal): Promise<BlobAnswer | undefined> {
    return await this.#hits.blob(repository, digest, signal);
  }
}
