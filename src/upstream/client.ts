import type { Dispatcher } from "undici";
import type { Digest } from "../oci/digest.ts";
import type { Reference, RepositoryName } from "../oci/reference.ts";
import { type ProbeHabits, openBlob, probeBlob } from "./blobs.ts";
import type { Exchange } from "./exchange.ts";
import { type Gate, LIST_MAX_MS } from "./gate.ts";
import { assertListed, getReferrers, listTags } from "./lists.ts";
import { getManifest, headManifest } from "./manifests.ts";
import type { Admission, BlobBody, ByteRange, ManifestBody, ManifestHead, TransferLane, Upstream } from "./upstream.ts";

export interface UpstreamClientParts {
  readonly credentialId: string | undefined;
  readonly gate: Gate;
  readonly exchange: Exchange;
  readonly dispatcher: Dispatcher;
  /** Its signal ends whatever is under way. */
  readonly closing: AbortController;
}

/** One upstream: each method is a question that passes the gate. */
export class UpstreamClient implements Upstream {
  readonly #parts: UpstreamClientParts;
  readonly #habits: ProbeHabits = { headIsUseless: false };
  #closed: Promise<void> | undefined;

  constructor(parts: UpstreamClientParts) {
    this.#parts = parts;
  }

  credentialIdFor(_name: RepositoryName): string | undefined {
    return this.#parts.credentialId;
  }

  get available(): boolean {
    return this.#parts.gate.available;
  }

  async headManifest(name: RepositoryName, reference: Reference, asker: AbortSignal): Promise<ManifestHead> {
    const { gate, exchange } = this.#parts;
    return await gate.question(asker, name, (signal) => headManifest(exchange, name, reference, signal));
  }

  async getManifest(name: RepositoryName, reference: Reference, asker: AbortSignal): Promise<ManifestBody> {
    const { gate, exchange } = this.#parts;
    return await gate.question(asker, name, (signal) => getManifest(exchange, name, reference, signal));
  }

  async openBlob(
    name: RepositoryName,
    digest: Digest,
    range: ByteRange | undefined,
    asker: AbortSignal,
    lane: TransferLane = "whole",
  ): Promise<BlobBody> {
    const { gate, exchange } = this.#parts;
    const work = (signal: AbortSignal) => openBlob(exchange, name, digest, range, signal);
    const { result, release } = await gate.transfer(asker, name, lane, work);
    // However the body ends, it closes.
    if (result.body.closed) release();
    else result.body.once("close", release);
    return result;
  }

  async probeBlob(name: RepositoryName, digest: Digest, asker: AbortSignal): Promise<{ size: number | undefined }> {
    const { gate, exchange } = this.#parts;
    return await gate.question(asker, name, (signal) => probeBlob(exchange, this.#habits, name, digest, signal));
  }

  async listTags(name: RepositoryName, asker: AbortSignal): Promise<readonly string[]> {
    const { gate, exchange } = this.#parts;
    return await gate.question(asker, name, (signal) => listTags(exchange, name, signal), LIST_MAX_MS);
  }

  async assertListed(name: RepositoryName, asker: AbortSignal): Promise<void> {
    const { gate, exchange } = this.#parts;
    await gate.question(asker, name, (signal) => assertListed(exchange, name, signal));
  }

  async getReferrers(name: RepositoryName, subject: Digest, asker: AbortSignal): Promise<Uint8Array | undefined> {
    const { gate, exchange } = this.#parts;
    return await gate.question(asker, name, (signal) => getReferrers(exchange, name, subject, signal), LIST_MAX_MS);
  }

  /** With one set of credentials for everybody there is nobody to tell apart. */
  async admit(): Promise<Admission> {
    return "in";
  }

  wasPrivate(): boolean {
    return false;
  }

  forTransfer(): Pick<Upstream, "openBlob"> {
    return this;
  }

  /** May be called more than once: two registries may share this upstream. */
  async close(): Promise<void> {
    this.#closed ??= this.#end();
    await this.#closed;
  }

  async #end(): Promise<void> {
    this.#parts.closing.abort();
    await this.#parts.dispatcher.destroy();
  }
}
