import type { Logger } from "pino";
import type { Catalog, Leaving } from "../catalog/catalog.ts";
import type { Digest } from "../oci/digest.ts";
import { type Repository, repositoryPath } from "../oci/reference.ts";
import type { Release } from "../lib/keyed-locks.ts";
import type { LinkKind, Store } from "../store/store.ts";
import type { Gone } from "./gone.ts";
import type { Held } from "./held.ts";
import type { Room } from "./room.ts";

/** The longest that is waited for those who keep something in a repository; they are not kept from it meanwhile. */
const BUSY_WAIT_MS = 1_000;
/** The longest that bytes which nobody has any more wait for whoever looks at them; then they stay for those who tidy up. */
const ALONE_WAIT_MS = 10_000;

export interface DeparturesOptions {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly held: Held;
  readonly room: Room;
  /** Whoever else remembers what is held. */
  readonly forget: (gone: Gone) => void;
  /** Hears of bytes that were not what their digest says. */
  readonly onDamaged?: ((digest: Digest) => void) | undefined;
  readonly log: Pick<Logger, "error">;
}

/** What has left. */
export interface Departed {
  readonly leaving: Leaving;
  /** That have come back. */
  readonly bytes: number;
}

/**
 * The one way by which something leaves the store. From the top: tags, the root's link, those of what it leads to, those of
 * blobs, the catalog, then the bytes that nobody has any more; so that whatever a crash leaves is bytes without a link, never
 * a link without its bytes or a tag to nothing.
 */
export class Departures {
  readonly #o: DeparturesOptions;

  constructor(options: DeparturesOptions) {
    this.#o = options;
  }

  /**
   * Takes away what `find` gives, which is asked when nobody keeps anything in the repository. `busy`: somebody does just now;
   * undefined: there is nothing.
   */
  async remove(
    repository: Repository,
    find: () => Promise<Leaving | undefined>,
  ): Promise<Departed | "busy" | undefined> {
    const release = await this.#aloneIn(repository);
    if (release === undefined) return "busy";
    let leaving: Leaving | undefined;
    try {
      leaving = await find();
      if (leaving === undefined) return undefined;
      return await this.#removed(leaving, release);
    } finally {
      release();
    }
  }

  /** Keeping takes a moment; to take the next one instead would mean to evict younger ones. */
  async #aloneIn(repository: Repository): Promise<(() => void) | undefined> {
    try {
      return await this.#o.held.locks.alone(repositoryPath(repository), AbortSignal.timeout(BUSY_WAIT_MS));
    } catch {
      return undefined;
    }
  }

  async #removed(leaving: Leaving, release: () => void): Promise<Departed> {
    const { repository, contents } = leaving;
    const unheld = contents.filter(({ links, leaves }) => links <= leaves);
    const bytes = unheld.reduce((sum, { size }) => sum + size, 0);
    // Until they are gone they lie on the disk, whatever the catalog says.
    const going = this.#o.room.going(repository.registryId, bytes);
    try {
      await this.#unlink(leaving);
      await this.#o.store.removeIfBare(repository);
      release();
      let cameBack = 0;
      for (const { digest, size } of unheld) if (await this.removeUnlinked(digest)) cameBack += size;
      return { leaving, bytes: cameBack };
    } finally {
      going.release();
    }
  }

  async #unlink(leaving: Leaving): Promise<void> {
    const { store, catalog, held } = this.#o;
    const { repository, manifests, blobs, tags, contents } = leaving;
    try {
      for (const tag of tags) await store.removeTag(repository, tag);
      for (const { digest } of manifests) await store.unlink("manifest", repository, digest);
      for (const { digest } of blobs) await store.unlink("layer", repository, digest);
      await catalog.forget(leaving);
    } catch (error) {
      // Half of it may have gone: the next start has the catalog say what is there.
      held.missedRecord();
      throw error;
    } finally {
      this.#tell({
        repositories: [{ repository, tags, manifests: manifests.map(digestOf), blobs: blobs.map(digestOf) }],
        bytes: contents.filter(({ links, leaves }) => links <= leaves).map(digestOf),
      });
    }
  }

  /** Takes bytes away that no repository has. False where one has, or somebody is just about to. */
  async removeUnlinked(digest: Digest): Promise<boolean> {
    const { held, catalog, store, log } = this.#o;
    let release: () => void;
    try {
      release = await held.locks.alone(digest, AbortSignal.timeout(ALONE_WAIT_MS));
    } catch {
      return false;
    }
    try {
      if ((await catalog.linksTo(digest)) > 0) return false;
      await store.removeBlob(digest);
      this.#tell({ repositories: [], bytes: [digest] });
      return true;
    } catch (error) {
      log.error({ digest, err: error }, "bytes that nobody has could not be removed");
      return false;
    } finally {
      release();
    }
  }

  /** Takes damaged bytes away, and every link to them: whoever asks next has them fetched anew. */
  async removeDamaged(digest: Digest, isStillThere: () => Promise<boolean>): Promise<void> {
    const { held, catalog, store, log, onDamaged } = this.#o;
    const release = await held.locks.alone(digest);
    try {
      if (!(await isStillThere())) return;
      await store.removeBlob(digest);
      onDamaged?.(digest);
      const holders = await catalog.forgetBlob(digest);
      for (const repository of holders) await store.unlink("layer", repository, digest);
      this.#tell({
        repositories: holders.map((repository) => ({ repository, tags: [], manifests: [], blobs: [digest] })),
        bytes: [digest],
      });
    } catch (error) {
      held.missedRecord();
      log.error({ digest, err: error }, "the catalog could not be told of a damaged blob; the next start mends it");
    } finally {
      release();
    }
  }

  /**
   * Takes what a repository had and nobody could give back: a link, or what is left of one, with the tags that lead to it. False
   * where the content is there after all. Rejects with the signal's reason, or when somebody keeps something there for too long.
   */
  async removeLost(repository: Repository, kind: LinkKind, digest: Digest, signal: AbortSignal): Promise<boolean> {
    const { held, store } = this.#o;
    const waiting = AbortSignal.any([signal, AbortSignal.timeout(ALONE_WAIT_MS)]);
    const releases: Release[] = [];
    try {
      // In the order in which they are taken by whoever keeps something.
      for (const key of [repositoryPath(repository), digest]) releases.push(await held.locks.alone(key, waiting));
      const isThere = (await store.statBlob(digest)) !== undefined && (await store.hasLink(kind, repository, digest));
      if (isThere) return false;
      const { tags } = kind === "manifest" ? await store.contents(repository) : { tags: [] };
      const one = [{ digest, size: 0 }];
      await this.#unlink({
        repository,
        root: undefined,
        manifests: kind === "manifest" ? one : [],
        blobs: kind === "layer" ? one : [],
        tags: tags.filter((tag) => tag.digest === digest).map(({ tag }) => tag),
        contents: [],
        lastUsedAtMs: 0,
      });
      await store.removeIfBare(repository);
      return true;
    } finally {
      for (const release of releases) release();
    }
  }

  /** As long as it is held nothing leaves the repository, by its path; whoever keeps something there is not held up. */
  async keepOut(path: string): Promise<Release> {
    return await this.#o.held.locks.shared(path);
  }

  #tell(gone: Gone): void {
    this.#o.held.forget(gone);
    this.#o.forget(gone);
  }
}

function digestOf({ digest }: { readonly digest: Digest }): Digest {
  return digest;
}
