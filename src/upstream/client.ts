import type { Dispatcher } from "undici";
import type { Digest } from "../oci/digest.ts";
import type { Reference, RepositoryName } from "../oci/reference.ts";
import type { Bandwidth } from "./bandwidth.ts";
import { type ProbeHabits, openBlob, probeBlob } from "./blobs.ts";
import type { Exchange } from "./exchange.ts";
import { type Gate, LIST_MAX_MS } from "./gate.ts";
import { assertListed, getReferrers, listTags } from "./lists.ts";
import { getManifest, headManifest } from "./manifests.ts";
import type { Observed } from "./observed.ts";
import type { UpstreamAsked } from "./observer.ts";
import type { QuotaWatch } from "./quota-watch.ts";
import type {
  Admission,
  BlobBody,
  ByteRange,
  ManifestBody,
  ManifestHead,
  QuotaState,
  TransferLane,
  Upstream,
  UpstreamState,
} from "./upstream.ts";

export interface UpstreamClientParts {
  readonly credentialId: string | undefined;
  readonly gate: Gate;
  readonly quota: QuotaWatch;
  readonly bandwidth: Bandwidth | undefined;
  readonly exchange: Exchange;
  readonly observed: Observed;
  readonly dispatcher: Dispatcher;
  /** Its signal ends whatever is under way. */
  readonly closing: AbortController;
}

/** One registry's way to an upstream: each method is a question that passes the gate. */
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

  get place(): object {
    return this.#parts.gate;
  }

  get quota(): QuotaState {
    return this.#parts.quota.state;
  }

  state(): UpstreamState {
    const { gate, observed } = this.#parts;
    return { ...gate.state(), quota: this.quota, bytesPerSecond: observed.bytesPerSecond };
  }

  async headManifest(name: RepositoryName, reference: Reference, asker: AbortSignal): Promise<ManifestHead> {
    const { exchange, quota } = this.#parts;
    return await this.#pullable(asker, name, (signal) =>
      quota.free(() => headManifest(exchange, name, reference, signal)),
    );
  }

  /** It costs a pull on Docker Hub, which HEAD does not. */
  async getManifest(name: RepositoryName, reference: Reference, asker: AbortSignal): Promise<ManifestBody> {
    const { exchange, quota } = this.#parts;
    return await this.#pullable(asker, name, (signal) =>
      quota.costly(
        () => getManifest(exchange, name, reference, signal),
        () => headManifest(exchange, name, reference, signal),
      ),
    );
  }

  async openBlob(
    name: RepositoryName,
    digest: Digest,
    range: ByteRange | undefined,
    asker: AbortSignal,
    lane: TransferLane = "whole",
  ): Promise<BlobBody> {
    const { gate, exchange, bandwidth, observed } = this.#parts;
    const work = (signal: AbortSignal) => openBlob(exchange, name, digest, range, signal, bandwidth);
    const { result, release } = await this.#heard("blob", gate.transfer(asker, name, lane, work));
    result.body.once("error", (error) => observed.failed("blob", error));
    // However the body ends, it closes.
    if (result.body.closed) release();
    else result.body.once("close", release);
    return result;
  }

  async probeBlob(name: RepositoryName, digest: Digest, asker: AbortSignal): Promise<{ size: number | undefined }> {
    const { gate, exchange } = this.#parts;
    const work = (signal: AbortSignal) => probeBlob(exchange, this.#habits, name, digest, signal);
    return await this.#heard("blob", gate.question(asker, name, work));
  }

  async listTags(name: RepositoryName, asker: AbortSignal): Promise<readonly string[]> {
    const { gate, exchange } = this.#parts;
    const work = (signal: AbortSignal) => listTags(exchange, name, signal);
    return await this.#heard("list", gate.question(asker, name, work, LIST_MAX_MS));
  }

  async assertListed(name: RepositoryName, asker: AbortSignal): Promise<void> {
    const { gate, exchange } = this.#parts;
    const work = (signal: AbortSignal) => assertListed(exchange, name, signal);
    await this.#heard("list", gate.question(asker, name, work));
  }

  async getReferrers(name: RepositoryName, subject: Digest, asker: AbortSignal): Promise<Uint8Array | undefined> {
    const { gate, exchange } = this.#parts;
    const work = (signal: AbortSignal) => getReferrers(exchange, name, subject, signal);
    return await this.#heard("list", gate.question(asker, name, work, LIST_MAX_MS));
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

  /** Nobody waits in the queue for a refusal. */
  async #pullable<T>(asker: AbortSignal, name: RepositoryName, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { gate, quota } = this.#parts;
    const asked = async () => {
      quota.assertHope();
      return await gate.question(asker, name, work);
    };
    return await this.#heard("manifest", asked());
  }

  async #heard<T>(asked: UpstreamAsked, answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      this.#parts.observed.failed(asked, error);
      throw error;
    }
  }
}
