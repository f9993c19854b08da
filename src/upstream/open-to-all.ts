import type { Digest } from "../oci/digest.ts";
import type { Reference, RepositoryName } from "../oci/reference.ts";
import {
  type Admission,
  type BlobBody,
  type ByteRange,
  type ManifestBody,
  type ManifestHead,
  type QuotaState,
  type TransferLane,
  type Upstream,
  UpstreamError,
  type UpstreamState,
} from "./upstream.ts";
import type { Visibility } from "./visibility.ts";

export interface OpenToAllOptions {
  /** With the configured credentials: for their quota, and for what is shared. */
  readonly own: Upstream;
  /** The same upstream without any. */
  readonly stranger: Upstream;
  /** Repositories that are given out although only the credentials open them. */
  readonly shares: (name: RepositoryName) => boolean;
  /** What is known of the repositories at this place, whichever registry asks. */
  readonly visibility: Visibility;
}

/**
 * An upstream with credentials that gives only what it gives to everybody. What is shared is exempt.
 */
export class OpenToAll implements Upstream {
  readonly #o: OpenToAllOptions;

  constructor(options: OpenToAllOptions) {
    this.#o = options;
  }

  get available(): boolean {
    return this.#o.own.available;
  }

  get place(): object {
    return this.#o.own.place;
  }

  get quota(): QuotaState {
    return this.#o.own.quota;
  }

  state(): UpstreamState {
    return this.#o.own.state();
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

  async admit(): Promise<Admission> {
    return "in";
  }

  wasPrivate(): boolean {
    return false;
  }

  forTransfer(): Pick<Upstream, "openBlob"> {
    return this;
  }

  async close(): Promise<void> {
    await Promise.all([this.#o.own.close(), this.#o.stranger.close()]);
  }

  async #assertOpen(name: RepositoryName, signal: AbortSignal): Promise<void> {
    if (this.#o.shares(name) || (await this.#o.visibility.isPublic(name, signal))) return;
    throw new UpstreamError("forbidden", `${name} is not public, and this cache does not share it (private_content)`);
  }
}
