import { createHmac, randomBytes } from "node:crypto";
import { LRUCache } from "lru-cache";
import { SingleFlight } from "../lib/single-flight.ts";
import type { Digest } from "../oci/digest.ts";
import type { Reference, RepositoryName } from "../oci/reference.ts";
import {
  type Admission,
  type Asking,
  type BlobBody,
  type ByteRange,
  FETCHED_BY_CLIENTS,
  type ManifestBody,
  type ManifestHead,
  type OfferedCredentials,
  type QuotaState,
  type TransferLane,
  type Upstream,
  UpstreamError,
  type UpstreamState,
} from "./upstream.ts";
import { isRefusal, Visibility } from "./visibility.ts";

/** For how long a client's credentials are good for a repository, or no good, after the upstream was asked. */
const GOOD_MS = 5 * 60_000;
const WRONG_MS = 30_000;
const GRACE_MS = 30_000;
const VERDICTS_MAX = 10_000;
/** Clients, and repositories, whose credentials are in memory at once. */
const CLIENTS_MAX = 200;
const REPOSITORIES_MAX = 1_000;
/** Credentials that one repository is opened with: where one is refused meanwhile, another is tried. */
const KEYS_MAX = 3;

export interface PassThroughOptions {
  /** For what the upstream gives to everybody; with the registry's own credentials, where it has some. */
  readonly own: Upstream;
  /** The same upstream without any credentials. */
  readonly stranger: Upstream;
  /** The same upstream as a client's, with limits of the client's own. */
  readonly clientOf: (credentials: OfferedCredentials) => Upstream;
  /** Milliseconds of a monotonic clock. */
  readonly nowMs: () => number;
}

/** `in`: good; the others say why not. */
type Verdict = Exclude<Admission, "nameless">;

/** What a private repository is opened with. */
interface Key {
  readonly who: string;
  readonly upstream: Upstream;
  /** When the upstream has to be asked again whether it is good. */
  readonly untilMs: number;
}

/**
 * An upstream that gives out private repositories to those to whom the registry itself gives them: each client's own credentials are
 * shown to it, and its word counts for five minutes. What is fetched of a private repository is fetched with credentials that were
 * found good for it: a transfer belongs to no client, and all who follow it have been admitted to the same repository.
 */
export class PassThrough implements Upstream {
  readonly #o: PassThroughOptions;
  readonly #visibility: Visibility;
  readonly #hmacKey = randomBytes(32);
  readonly #verdicts: LRUCache<string, { readonly verdict: Verdict; readonly untilMs: number }>;
  readonly #flights = new SingleFlight<Verdict>();
  readonly #clients: LRUCache<string, Upstream>;
  readonly #keys: LRUCache<RepositoryName, readonly Key[]>;

  constructor(options: PassThroughOptions) {
    this.#o = options;
    this.#visibility = new Visibility(options);
    const clock = { perf: { now: options.nowMs }, ttlResolution: 0 };
    this.#verdicts = new LRUCache({ maxSize: VERDICTS_MAX, sizeCalculation: () => 1 });
    this.#clients = new LRUCache({ max: CLIENTS_MAX, ttl: GOOD_MS, ttlAutopurge: true, ...clock });
    this.#keys = new LRUCache({ max: REPOSITORIES_MAX, ttl: GOOD_MS, ttlAutopurge: true, ...clock });
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

  /** Names no client: who is admitted to a repository may have all of it. */
  credentialIdFor(name: RepositoryName): string | undefined {
    return this.#visibility.wasPublic(name) === true ? undefined : FETCHED_BY_CLIENTS;
  }

  wasPrivate(name: RepositoryName): boolean {
    return this.#visibility.wasPublic(name) === false;
  }

  async admit(
    name: RepositoryName,
    offered: OfferedCredentials | undefined,
    signal: AbortSignal,
    asking: Asking,
  ): Promise<Admission> {
    const who = offered === undefined ? undefined : this.#keyOf(offered.user, offered.password);
    // Who was let in lately stays so without a question, also while upstream is away.
    if (offered !== undefined && who !== undefined && this.wasPrivate(name)) {
      const known = this.#known(who, name);
      if (known?.verdict === "in") return this.#opened(who, name, offered, known.untilMs);
    }
    if (await this.#visibility.isPublic(name, signal)) return "in";
    if (offered === undefined || who === undefined) return "nameless";
    const known = this.#known(who, name);
    if (known !== undefined && known.verdict !== "in") return known.verdict;
    const verdict = known?.verdict ?? (await asking(() => this.#ask(who, name, offered, signal)));
    return verdict === "in" ? this.#opened(who, name, offered, this.#known(who, name)?.untilMs ?? 0) : verdict;
  }

  async headManifest(name: RepositoryName, reference: Reference, signal: AbortSignal): Promise<ManifestHead> {
    return await this.#with(name, signal, (one) => one.headManifest(name, reference, signal));
  }

  async getManifest(name: RepositoryName, reference: Reference, signal: AbortSignal): Promise<ManifestBody> {
    return await this.#with(name, signal, (one) => one.getManifest(name, reference, signal));
  }

  async openBlob(
    name: RepositoryName,
    digest: Digest,
    range: ByteRange | undefined,
    signal: AbortSignal,
    lane?: TransferLane,
  ): Promise<BlobBody> {
    return await this.#with(name, signal, (one) => one.openBlob(name, digest, range, signal, lane));
  }

  async probeBlob(name: RepositoryName, digest: Digest, signal: AbortSignal): Promise<{ size: number | undefined }> {
    return await this.#with(name, signal, (one) => one.probeBlob(name, digest, signal));
  }

  async listTags(name: RepositoryName, signal: AbortSignal): Promise<readonly string[]> {
    return await this.#with(name, signal, (one) => one.listTags(name, signal));
  }

  async getReferrers(name: RepositoryName, subject: Digest, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return await this.#with(name, signal, (one) => one.getReferrers(name, subject, signal));
  }

  async assertListed(name: RepositoryName, signal: AbortSignal): Promise<void> {
    await this.#with(name, signal, (one) => one.assertListed(name, signal));
  }

  /** A transfer that was begun with credentials goes on with them: a layer takes longer than five minutes. Without any, so it does. */
  forTransfer(name: RepositoryName): Pick<Upstream, "openBlob"> {
    if (this.#visibility.wasPublic(name) === true) return this.#o.own;
    const begunWith = this.#validKeys(name);
    return {
      openBlob: async (_name, digest, range, signal, lane) =>
        await this.#with(name, signal, (one) => one.openBlob(name, digest, range, signal, lane), begunWith),
    };
  }

  async close(): Promise<void> {
    // Clients' ones share the stranger's connections.
    this.#clients.clear();
    this.#keys.clear();
    await Promise.all([this.#o.own.close(), this.#o.stranger.close()]);
  }

  /** Asks upstream by what opens the repository; by the next one where credentials are no longer good at all. */
  async #with<T>(
    name: RepositoryName,
    signal: AbortSignal,
    ask: (upstream: Upstream) => Promise<T>,
    further: readonly Key[] = [],
  ): Promise<T> {
    const keys = [...this.#validKeys(name), ...further];
    const isKnown = keys.length > 0 && this.wasPrivate(name);
    if (!isKnown && (await this.#visibility.isPublic(name, signal))) return await ask(this.#o.own);
    let refusal = personal(
      new UpstreamError("unauthorized", `${name} is private, and nobody's credentials are known to open it now`),
    );
    for (const { who, upstream } of keys) {
      try {
        return await ask(upstream);
      } catch (error) {
        if (!(error instanceof UpstreamError) || !isOfRights(error)) throw error;
        refusal = personal(error);
        // What good credentials do not open is nothing to try other people's on.
        if (!error.isOfCredentials) break;
        this.#forget(who, name);
      }
    }
    throw refusal;
  }

  #opened(who: string, name: RepositoryName, offered: OfferedCredentials, untilMs: number): "in" {
    const others = this.#validKeys(name).filter((key) => key.who !== who);
    const key = { who, upstream: this.#clientOf(who, offered), untilMs };
    this.#keys.set(name, [key, ...others].slice(0, KEYS_MAX));
    return "in";
  }

  /** Who was admitted just before the end shall be served. */
  #validKeys(name: RepositoryName): readonly Key[] {
    const nowMs = this.#o.nowMs();
    return (this.#keys.get(name) ?? []).filter(({ untilMs }) => untilMs + GRACE_MS > nowMs);
  }

  /** The next request of whoever has these credentials asks upstream again. */
  #forget(who: string, name: RepositoryName): void {
    this.#verdicts.delete(this.#keyOf(who, name));
    this.#keys.set(
      name,
      this.#validKeys(name).filter((key) => key.who !== who),
    );
  }

  #known(who: string, name: RepositoryName): { readonly verdict: Verdict; readonly untilMs: number } | undefined {
    const known = this.#verdicts.get(this.#keyOf(who, name));
    return known !== undefined && known.untilMs > this.#o.nowMs() ? known : undefined;
  }

  async #ask(who: string, name: RepositoryName, offered: OfferedCredentials, signal: AbortSignal): Promise<Verdict> {
    const question = this.#keyOf(who, name);
    const { result } = this.#flights.run(question, this.#o.nowMs(), async () => {
      const verdict = await verdictOf(this.#clientOf(who, offered), name, signal);
      const untilMs = this.#o.nowMs() + (verdict === "in" ? GOOD_MS : WRONG_MS);
      this.#verdicts.set(question, { verdict, untilMs });
      return verdict;
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

async function verdictOf(client: Upstream, name: RepositoryName, signal: AbortSignal): Promise<Verdict> {
  try {
    await client.assertListed(name, signal);
    return "in";
  } catch (error) {
    if (!(error instanceof UpstreamError) || !isRefusal(error)) throw error;
    return error.isOfCredentials ? "wrong" : "refused";
  }
}

/** A 404 is about what was asked for, and what a content network says is about a signed address. */
function isOfRights({ kind, isElsewhere, isOfCredentials }: UpstreamError): boolean {
  return (kind === "unauthorized" || kind === "forbidden") && (isOfCredentials || !isElsewhere);
}

/** Not remembered as the repository's answer to everybody. */
function personal(error: UpstreamError): UpstreamError {
  const { kind, message, status, isOfCredentials } = error;
  return new UpstreamError(kind, message, { status, isOfCredentials, isPersonal: true, cause: error });
}
