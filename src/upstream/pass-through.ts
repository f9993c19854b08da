import { createHmac, randomBytes } from "node:crypto";
import { LRUCache } from "lru-cache";
import { SingleFlight } from "../lib/single-flight.ts";
import type { Digest } from "../oci/digest.ts";
import type { Reference, RepositoryName } from "../oci/reference.ts";
import {
  type Admission,
  type BlobBody,
  type ByteRange,
  FETCHED_BY_CLIENTS,
  type ManifestBody,
  type ManifestHead,
  type OfferedCredentials,
  type TransferLane,
  type Upstream,
  UpstreamError,
} from "./upstream.ts";
import { isListed, Visibility } from "./visibility.ts";

/** For how long a client's credentials are good for a repository, or no good, after the upstream was asked. */
const GOOD_MS = 5 * 60_000;
const WRONG_MS = 30_000;
const VERDICTS_MAX = 10_000;
/** Clients, and repositories, whose credentials are in memory at once. */
const CLIENTS_MAX = 200;
const KEYS_MAX = 1_000;

export interface PassThroughOptions {
  /** For what the upstream gives to everybody; with the registry's own credentials, where it has some. */
  readonly own: Upstream;
  /** The same upstream without any credentials. */
  readonly stranger: Upstream;
  /** The same upstream as a client's. */
  readonly clientOf: (credentials: OfferedCredentials) => Upstream;
  /** Milliseconds of a monotonic clock. */
  readonly nowMs: () => number;
}

/**
 * An upstream that gives out private repositories to those to whom the registry itself gives them: each client's own credentials are
 * shown to it, and its word counts for five minutes. What is fetched of a private repository is fetched with the credentials that were
 * found good for it last: a transfer belongs to no client, and all who follow it have been admitted to the same repository.
 */
export class PassThrough implements Upstream {
  readonly #o: PassThroughOptions;
  readonly #visibility: Visibility;
  readonly #hmacKey = randomBytes(32);
  readonly #verdicts: LRUCache<string, boolean>;
  readonly #flights = new SingleFlight<boolean>();
  readonly #clients: LRUCache<string, Upstream>;
  /** What a private repository is opened with. */
  readonly #keys: LRUCache<RepositoryName, Upstream>;

  constructor(options: PassThroughOptions) {
    this.#o = options;
    this.#visibility = new Visibility(options);
    const clock = { perf: { now: options.nowMs }, ttlResolution: 0 };
    this.#verdicts = new LRUCache({ maxSize: VERDICTS_MAX, sizeCalculation: () => 1, ...clock });
    this.#clients = new LRUCache({ max: CLIENTS_MAX, ttl: GOOD_MS, ttlAutopurge: true, ...clock });
    this.#keys = new LRUCache({ max: KEYS_MAX, ttl: GOOD_MS, ttlAutopurge: true, ...clock });
  }

  get available(): boolean {
    return this.#o.own.available;
  }

  /** Names no client: who is admitted to a repository may have all of it. */
  credentialIdFor(name: RepositoryName): string | undefined {
    return this.#visibility.wasPublic(name) === true ? undefined : FETCHED_BY_CLIENTS;
  }

  async admit(
    name: RepositoryName,
    offered: OfferedCredentials | undefined,
    signal: AbortSignal,
    beforeAsking: () => void,
  ): Promise<Admission> {
    if (await this.#visibility.isPublic(name, signal)) return "in";
    if (offered === undefined) return "nameless";
    const who = this.#keyOf(offered.user, offered.password);
    const question = this.#keyOf(who, name);
    const known = this.#verdicts.get(question);
    if (known === undefined) beforeAsking();
    const isGood = known ?? (await this.#ask(question, who, { name, offered }, signal));
    if (!isGood) return "refused";
    this.#keys.set(name, this.#clientOf(who, offered), { noUpdateTTL: known !== undefined });
    return "in";
  }

  async headManifest(name: RepositoryName, reference: Reference, signal: AbortSignal): Promise<ManifestHead> {
    return await (await this.#opened(name, signal)).headManifest(name, reference, signal);
  }

  async getManifest(name: RepositoryName, reference: Reference, signal: AbortSignal): Promise<ManifestBody> {
    return await (await this.#opened(name, signal)).getManifest(name, reference, signal);
  }

  async openBlob(
    name: RepositoryName,
    digest: Digest,
    range: ByteRange | undefined,
    signal: AbortSignal,
    lane?: TransferLane,
  ): Promise<BlobBody> {
    return await (await this.#opened(name, signal)).openBlob(name, digest, range, signal, lane);
  }

  async probeBlob(name: RepositoryName, digest: Digest, signal: AbortSignal): Promise<{ size: number | undefined }> {
    return await (await this.#opened(name, signal)).probeBlob(name, digest, signal);
  }

  async listTags(name: RepositoryName, signal: AbortSignal): Promise<readonly string[]> {
    return await (await this.#opened(name, signal)).listTags(name, signal);
  }

  async getReferrers(name: RepositoryName, subject: Digest, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return await (await this.#opened(name, signal)).getReferrers(name, subject, signal);
  }

  async assertListed(name: RepositoryName, signal: AbortSignal): Promise<void> {
    await (await this.#opened(name, signal)).assertListed(name, signal);
  }

  async close(): Promise<void> {
    // Clients' ones share the connections of the first.
    this.#clients.clear();
    this.#keys.clear();
    await Promise.all([this.#o.own.close(), this.#o.stranger.close()]);
  }

  async #opened(name: RepositoryName, signal: AbortSignal): Promise<Upstream> {
    if (await this.#visibility.isPublic(name, signal)) return this.#o.own;
    const opened = this.#keys.get(name);
    if (opened !== undefined) return opened;
    throw new UpstreamError("unauthorized", `${name} is private, and nobody's credentials are known to open it`);
  }

  async #ask(
    question: string,
    who: string,
    { name, offered }: { readonly name: RepositoryName; readonly offered: OfferedCredentials },
    signal: AbortSignal,
  ): Promise<boolean> {
    const { result } = this.#flights.run(question, this.#o.nowMs(), async () => {
      const isGood = await isListed(this.#clientOf(who, offered), name, signal);
      this.#verdicts.set(question, isGood, { ttl: isGood ? GOOD_MS : WRONG_MS });
      return isGood;
    });
    return await result;
  }

  #clientOf(who: string, offered: OfferedCredentials): Upstream {
    const known = this.#clients.get(who);
    if (known !== undefined) return known;
    const client = this.#o.clientOf(offered);
    this.#clients.set(who, client);
    return client;
  }

  /** No password lies around as a map's key. */
  #keyOf(...parts: readonly string[]): string {
    return createHmac("sha256", this.#hmacKey).update(JSON.stringify(parts)).digest("base64");
  }
}
