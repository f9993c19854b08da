import type { Digest } from "../oci/digest.ts";
import type { Reference, Repository, Tag } from "../oci/reference.ts";
import type { QuotaVerdict } from "../upstream/upstream.ts";
import { type BlobAnswer, storedAnswer } from "./blob-answer.ts";
import { freshHit, sparing, type TagPolicies, tagVerdict } from "./freshness.ts";
import type { TagState } from "./held.ts";
import type { HeldContent } from "./held-content.ts";
import type { ManifestAnswer } from "./manifests.ts";
import type { Notebook } from "./notebook.ts";
import type { Outcome } from "./outcome.ts";
import type { StoredBlobs } from "./stored-blobs.ts";

export interface HitsOptions {
  readonly content: HeldContent;
  readonly blobs: StoredBlobs;
  /** Where a tag points and when that was confirmed, where that is known; by registry id. */
  readonly tagState: (repository: Repository, tag: Tag) => TagState | undefined;
  readonly tagPolicies: ReadonlyMap<string, TagPolicies>;
  /** How many pulls a registry's upstream has left, by its id; by default plenty. */
  readonly quotaOf?: (registryId: string) => QuotaVerdict;
  readonly notebook: Pick<Notebook, "used">;
}

/**
 * What can be answered from the store and memory alone, by a process that asks no upstream and writes nothing. Undefined is
 * not "no": the one who can ask must be asked.
 */
export class Hits {
  readonly #o: HitsOptions;

  constructor(options: HitsOptions) {
    this.#o = options;
  }

  async manifest(repository: Repository, reference: Reference): Promise<ManifestAnswer | undefined> {
    const [tag, answer] =
      reference.kind === "tag"
        ? [reference.tag, await this.#byTag(repository, reference.tag)]
        : [undefined, await this.#byDigest(repository, reference.digest)];
    if (answer !== undefined) this.#o.notebook.used(repository, answer.digest, tag);
    return answer;
  }

  async #byTag(repository: Repository, tag: Tag): Promise<ManifestAnswer | undefined> {
    const state = this.#o.tagState(repository, tag);
    if (state?.byHold === true) {
      const at = await this.#byDigest(repository, state.digest);
      return at && { ...at, outcome: { ...at.outcome, byHold: true } };
    }
    const rule = this.#o.tagPolicies.get(repository.registryId)?.for(tag);
    if (state === undefined || rule === undefined) return undefined;
    const revalidate = sparing(rule, this.#o.quotaOf?.(repository.registryId) ?? "plenty");
    const nowMs = Date.now();
    if (tagVerdict(state.confirmedAtMs, revalidate, nowMs) !== "fresh") return undefined;
    const held = await this.#o.content.manifest(repository, state.digest);
    return held && { ...held, outcome: freshHit(state.confirmedAtMs, revalidate, nowMs) };
  }

  async #byDigest(repository: Repository, digest: Digest): Promise<ManifestAnswer | undefined> {
    const held = await this.#o.content.manifest(repository, digest);
    return held && { ...held, outcome: { kind: "hit" } };
  }

  /** `signal` is the client's. What is answered must be closed. */
  async blob(repository: Repository, digest: Digest, signal: AbortSignal): Promise<BlobAnswer | undefined> {
    if (!(await this.#o.content.hasLink("layer", repository, digest))) return undefined;
    const blob = await this.#o.blobs.open(digest, unnamed, signal);
    if (blob === undefined) return undefined;
    this.#o.notebook.used(repository, digest);
    return storedAnswer(digest, blob, signal);
  }

  async blobSize(repository: Repository, digest: Digest): Promise<{ size: number; outcome: Outcome } | undefined> {
    if (!(await this.#o.content.hasLink("layer", repository, digest))) return undefined;
    // A file that lost its end would be told of wrongly: only one that was hashed can be told of without the catalog.
    const size = await this.#o.blobs.soundSize(digest);
    return size === undefined ? undefined : { size, outcome: { kind: "hit" } };
  }
}

/** The catalog knows the sizes that manifests give; it is not asked here, and the bytes are hashed anyway. */
async function unnamed(): Promise<undefined> {
  return undefined;
}
