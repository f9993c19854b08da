import { LRUCache } from "lru-cache";
import type { Logger } from "pino";
import type { Digest } from "../oci/digest.ts";
import type { Descriptor, Manifest } from "../oci/manifest.ts";
import { type Repository, repositoryPath } from "../oci/reference.ts";
import type { Store } from "../store/store.ts";
import type { Held } from "./held.ts";
import type { Proof } from "./proof.ts";

/** Blobs of one manifest that are looked at; no image has so many layers. */
const BLOBS_MAX = 300;
/** Links that are made at once. */
const AT_ONCE_MAX = 4;
/** Blobs that wait for their turn; of what is beyond, a link is made when a client asks for it. */
const WAITING_MAX = 10_000;
/** A client fetches a layer once for all images that it pulls together: the blob may come after the manifest. */
const AWAITED_MS = 60 * 60 * 1000;
const AWAITED_MAX = 10_000;
/** Repositories that one blob is awaited for. */
const AWAITED_FOR_MAX = 16;

/** A manifest that a repository has names the blob. */
interface Named {
  readonly repository: Repository;
  readonly manifest: Digest;
  readonly blob: Descriptor;
  readonly fetchedWith: string | undefined;
}

export interface SharedBlobsOptions {
  readonly store: Pick<Store, "hasLink" | "statBlob">;
  readonly held: Pick<Held, "linkBlob" | "locks">;
  readonly proof: Pick<Proof, "isOpen">;
  readonly log: Pick<Logger, "error">;
}

/**
 * Links blobs that are stored already to every image that names them. A client does not ask for a layer that it has from
 * another image; without a link that layer would be of the other image alone, and go with it. In the background, and without
 * a question to upstream: what upstream does not give to everybody is left to the client that asks for it.
 */
export class SharedBlobs {
  readonly #o: SharedBlobsOptions;
  readonly #waiting: Named[] = [];
  readonly #running = new Set<Promise<void>>();
  readonly #awaited = new LRUCache<Digest, readonly Named[]>({
    maxSize: AWAITED_MAX,
    sizeCalculation: (all) => all.length,
    ttl: AWAITED_MS,
  });
  #hasStopped = false;

  constructor(options: SharedBlobsOptions) {
    this.#o = options;
  }

  /** The repository has this manifest now. */
  named(repository: Repository, manifest: Digest, { blobs }: Manifest, fetchedWith: string | undefined): void {
    for (const blob of blobs.slice(0, BLOBS_MAX)) this.#add({ repository, manifest, blob, fetchedWith });
  }

  /** The blob has come, and was linked to whoever had asked for it. */
  stored(digest: Digest): void {
    const awaited = this.#awaited.get(digest) ?? [];
    this.#awaited.delete(digest);
    awaited.forEach((one) => this.#add(one));
  }

  /** Waits until nothing is under way. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** What waits is given up. */
  async stop(): Promise<void> {
    this.#hasStopped = true;
    this.#waiting.length = 0;
    await this.idle();
  }

  #add(named: Named): void {
    if (this.#hasStopped || this.#waiting.length >= WAITING_MAX) return;
    this.#waiting.push(named);
    if (this.#running.size >= AT_ONCE_MAX) return;
    const running = this.#work().finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #work(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      try {
        await this.#link(next);
      } catch (error) {
        this.#o.log.error({ err: error, digest: next.blob.digest }, "a shared blob was not linked");
      }
    }
  }

  /** Nothing of the repository is evicted meanwhile, so that no link outlives the manifest that it was made for. */
  async #link(named: Named): Promise<void> {
    const { repository, manifest, blob, fetchedWith } = named;
    const { store, held, proof } = this.#o;
    if (await store.hasLink("layer", repository, blob.digest)) return;
    const size = await store.statBlob(blob.digest);
    if (size === undefined) return this.#await(named);
    if (size !== blob.size) return;
    const release = await held.locks.shared(repositoryPath(repository));
    try {
      if (!(await store.hasLink("manifest", repository, manifest))) return;
      if (await proof.isOpen(repository, blob.digest)) await held.linkBlob(repository, blob.digest, size, fetchedWith);
    } finally {
      release();
    }
  }

  #await(named: Named): void {
    const { digest } = named.blob;
    const others = this.#awaited.get(digest) ?? [];
    if (others.length < AWAITED_FOR_MAX) this.#awaited.set(digest, [...others, named]);
  }
}
