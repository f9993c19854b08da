import { LRUCache } from "lru-cache";
import { SingleFlight } from "../lib/single-flight.ts";
import type { Digest } from "../oci/digest.ts";
import type { Reference, RepositoryName } from "../oci/reference.ts";
import {
  type BlobBody,
  type ByteRange,
  type ManifestBody,
  type ManifestHead,
  type TransferLane,
  type Upstream,
  UpstreamError,
  type UpstreamErrorKind,
} from "./upstream.ts";

/** For how long a repository is taken for public, or for private, after it was asked for without credentials. */
const PUBLIC_MS = 10 * 60_000;
const PRIVATE_MS = 30_000;
const REPOSITORIES_MAX = 10_000;

/** Answers by which a registry says that a stranger may not have something; it need not say which of them is meant. */
const REFUSALS: ReadonlySet<UpstreamErrorKind> = new Set(["unauthorized", "forbidden", "not-found"]);

export interface OpenToAllOptions {
  /** With the configured credentials: for their quota, and for what is shared. */
  readonly own: Upstream;
  /** The same upstream without any. */
  readonly stranger: Upstream;
  /** Repositories that are given out although only the credentials open them. */
  readonly shares: (name: RepositoryName) => boolean;
  /** Milliseconds of a monotonic clock. */
  readonly nowMs: () => number;
}

/**
 * An upstream with credentials that gives only what it gives to everybody: whether that is so is asked without them, once in ten
 * minutes for each repository. What is shared is exempt.
 */
export class OpenToAll implements Upstream {
  readonly #o: OpenToAllOptions;
  readonly #known = new LRUCache<RepositoryName, { readonly isPublic: boolean; readonly untilMs: number }>({
    max: REPOSITORIES_MAX,
  });
  readonly #flights = new SingleFlight<boolean>();

  constructor(options: OpenToAllOptions) {
    this.#o = options;
  }

  get available(): boolean {
    return this.#o.own.available;
  }

  credentialIdFor(name: RepositoryName): string | undefined {
    // What everybody may have counts as fetched by everybody.
    return this.#o.shares(name) ? this.#o.own.credentialIdFor(name) : undefined;
  }

  async headManifest(name: RepositoryName, reference: Reference, signal: AbortSignal): Promise<ManifestHead> {
    await this.#assertOpen(name, signal);
    return await this.#o.own.headManifest(name, reference, signal);
  }

  async getManifest(name: RepositoryName, reference: Reference, signal: AbortSignal): Promise<ManifestBody> {
    await this.#assertOpen(name, signal);
    return await this.#o.own.getManifest(name, reference, signal);
  }

  async openBlob(
    name: RepositoryName,
    digest: Digest,
    range: ByteRange | undefined,
    signal: AbortSignal,
    lane?: TransferLane,
  ): Promise<BlobBody> {
    await this.#assertOpen(name, signal);
    return await this.#o.own.openBlob(name, digest, range, signal, lane);
  }

  async probeBlob(name: RepositoryName, digest: Digest, signal: AbortSignal): Promise<{ size: number | undefined }> {
    await this.#assertOpen(name, signal);
    return await this.#o.own.probeBlob(name, digest, signal);
  }

  async listTags(name: RepositoryName, signal: AbortSignal): Promise<readonly string[]> {
    await this.#assertOpen(name, signal);
    return await this.#o.own.listTags(name, signal);
  }

  async getReferrers(name: RepositoryName, subject: Digest, signal: AbortSignal): Promise<Uint8Array | undefined> {
    await this.#assertOpen(name, signal);
    return await this.#o.own.getReferrers(name, subject, signal);
  }

  async assertListed(name: RepositoryName, signal: AbortSignal): Promise<void> {
    await this.#o.own.assertListed(name, signal);
  }

  async close(): Promise<void> {
    await Promise.all([this.#o.own.close(), this.#o.stranger.close()]);
  }

  async #assertOpen(name: RepositoryName, signal: AbortSignal): Promise<void> {
    if (this.#o.shares(name)) return;
    const known = this.#known.get(name);
    const isPublic =
      known !== undefined && known.untilMs > this.#o.nowMs() ? known.isPublic : await this.#ask(name, signal);
    if (isPublic) return;
    throw new UpstreamError("forbidden", `${name} is not public, and this cache does not share it (private_content)`);
  }

  async #ask(name: RepositoryName, signal: AbortSignal): Promise<boolean> {
    const { result } = this.#flights.run(name, this.#o.nowMs(), async () => {
      const isPublic = await this.#isListedForStrangers(name, signal);
      this.#known.set(name, { isPublic, untilMs: this.#o.nowMs() + (isPublic ? PUBLIC_MS : PRIVATE_MS) });
      return isPublic;
    });
    return await result;
  }

  async #isListedForStrangers(name: RepositoryName, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#o.stranger.assertListed(name, signal);
      return true;
    } catch (error) {
      if (error instanceof UpstreamError && REFUSALS.has(error.kind)) return false;
      throw error;
    }
  }
}
