import type { Logger } from "pino";
import type { Catalog } from "../catalog/catalog.ts";
import type { Digest } from "../oci/digest.ts";
import { type Repository, repositoryPath, type Tag } from "../oci/reference.ts";
import type { LinkKind, Store } from "../store/store.ts";
import type { Departures } from "./departures.ts";
import type { Gone } from "./gone.ts";
import type { Held } from "./held.ts";
import type { ManifestPull } from "./manifests.ts";
import type { StoredBlobs } from "./stored-blobs.ts";

/** Repositories whose upstreams are asked for the bytes; those behind them have the same ones, or do not exist any more. */
const HOLDERS_ASKED_MAX = 10;

/** A repository that has, or had, the content. */
export interface ContentHolder {
  readonly repository: Repository;
  readonly kind: LinkKind;
}

export interface MendingOptions {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly held: Held;
  readonly blobs: StoredBlobs;
  readonly manifests: Pick<ManifestPull, "restore">;
  readonly departures: Departures;
  /** Makes a blob held by the repository; rejects where its upstream does not give it. */
  readonly bring: (repository: Repository, digest: Digest, signal: AbortSignal) => Promise<unknown>;
  /** Whoever remembers what is held. */
  readonly forget: (gone: Gone) => void;
  readonly log: Pick<Logger, "debug" | "error">;
}

/**
 * Mends what is damaged in the store. Damaged bytes go at once: nobody gets any of them. The links and tags that lead to them stay
 * meanwhile, so that nothing of them need be remembered, whatever happens: they lead to the right bytes again as soon as those
 * have come, and until then to nothing, which every pull takes for not held. Only what nobody gives goes with its links.
 */
export class Mending {
  readonly #o: MendingOptions;

  constructor(options: MendingOptions) {
    this.#o = options;
  }

  /** The file of this version was hashed just now. */
  foundRight(digest: Digest, version: string): void {
    this.#o.blobs.foundRight(digest, version);
  }

  /**
   * Takes damaged bytes away. `isStillThere` is asked when nobody links the content. `other`: others have taken their place, or
   * they have gone already.
   */
  async takeAway(digest: Digest, isStillThere: () => Promise<boolean>, signal: AbortSignal): Promise<"gone" | "other"> {
    const { held, store, blobs } = this.#o;
    const release = await held.locks.alone(digest, signal);
    try {
      if (!(await isStillThere())) return "other";
      await store.removeBlob(digest);
      blobs.endReaders(digest);
      return "gone";
    } finally {
      release();
    }
  }

  /** Has the bytes, and the links of these, again. False where nobody gives them. */
  async heal(digest: Digest, holders: readonly ContentHolder[], signal: AbortSignal): Promise<boolean> {
    const isInMemory = await this.#healFromMemory(digest, signal);
    if (!isInMemory) this.#o.forget({ repositories: [], bytes: [digest] });
    for (const holder of holders.slice(0, HOLDERS_ASKED_MAX)) {
      if (await this.#isWhole(digest, holder)) return true;
      try {
        await this.#ask(digest, holder, signal);
      } catch (error) {
        signal.throwIfAborted();
        this.#o.log.debug(
          { digest, repository: repositoryPath(holder.repository), err: error },
          "not healed from here",
        );
      }
      if (await this.#isWhole(digest, holder)) return true;
    }
    return false;
  }

  /** What was verified when it was read into memory is as good as what upstream sends. */
  async #healFromMemory(digest: Digest, signal: AbortSignal): Promise<boolean> {
    const { held, blobs, store, log } = this.#o;
    const bytes = held.bytesInMemory(digest) ?? blobs.bytesInMemory(digest);
    if (bytes === undefined) return false;
    const release = await held.locks.alone(digest, signal);
    try {
      if ((await store.statBlob(digest)) === undefined) await store.putBlob(digest, bytes);
      return true;
    } catch (error) {
      log.error({ digest, err: error }, "what is in memory could not be stored");
      return false;
    } finally {
      release();
    }
  }

  async #ask(digest: Digest, { kind, repository }: ContentHolder, signal: AbortSignal): Promise<void> {
    // A link that cannot be read may be remembered as a good one.
    const of = { repository, tags: [], manifests: [digest], blobs: [digest] };
    if (!(await this.#o.store.hasLink(kind, repository, digest))) this.#o.forget({ repositories: [of], bytes: [] });
    if (kind === "manifest") await this.#o.manifests.restore(repository, digest);
    else await this.#o.bring(repository, digest, signal);
  }

  async #isWhole(digest: Digest, { kind, repository }: ContentHolder): Promise<boolean> {
    const { store } = this.#o;
    return (await store.statBlob(digest)) !== undefined && (await store.hasLink(kind, repository, digest));
  }

  /** Nobody gives it: what leads to it goes. */
  async giveUp(digest: Digest, holders: readonly ContentHolder[], signal: AbortSignal): Promise<void> {
    const { departures } = this.#o;
    for (const { repository, kind } of holders) await departures.removeLost(repository, kind, digest, signal);
    // Right bytes whose link was damaged are nobody's now.
    await departures.removeUnlinked(digest);
  }

  /**
   * Has a tag that cannot be read lead where the catalog says; upstream is asked before that is believed after the next start.
   * False where it does not lead anywhere any more: then it is taken away.
   */
  async mendTag(repository: Repository, tag: Tag, signal: AbortSignal): Promise<boolean> {
    const { catalog, held, store } = this.#o;
    const digest = (await catalog.tag(repository, tag))?.digest;
    const release = await held.locks.alone(repositoryPath(repository), signal);
    try {
      // Somebody has pulled it meanwhile.
      if ((await store.tag(repository, tag)) !== undefined) return true;
      if (digest !== undefined && (await store.hasLink("manifest", repository, digest))) {
        await store.setTag(repository, tag, digest, "unconfirmed");
        return true;
      }
      await store.removeTag(repository, tag);
      this.#o.forget({ repositories: [{ repository, tags: [tag], manifests: [], blobs: [] }], bytes: [] });
      return false;
    } finally {
      release();
    }
  }
}
