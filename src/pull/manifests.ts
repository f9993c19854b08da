import type { Logger } from "pino";
import { SingleFlight } from "../lib/single-flight.ts";
import { LATE, within } from "../lib/wait.ts";
import { type Digest, digestAlgorithm, digestOf } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { parseManifest } from "../oci/manifest.ts";
import { type Reference, type Repository, repositoryPath, type Tag } from "../oci/reference.ts";
import { type ManifestBody, UpstreamError } from "../upstream/upstream.ts";
import { afterFailure, ageS, freshHit, sparing, tagVerdict } from "./freshness.ts";
import type { Held, TagState } from "./held.ts";
import type { ManifestBytes } from "./held-content.ts";
import type { Notebook } from "./notebook.ts";
import type { Outcome, StaleReason } from "./outcome.ts";
import type { Proof } from "./proof.ts";
import type { Refusals } from "./refusals.ts";
import { type PullRegistries, type PullRegistry, registryOf } from "./registries.ts";
import type { TagStates } from "./tag-states.ts";
import { answerFor } from "./upstream-answer.ts";

export interface ManifestAnswer extends ManifestBytes {
  readonly outcome: Outcome;
  /** When upstream last said that the tag points there, milliseconds since the epoch; undefined without a tag. */
  readonly confirmedAtMs?: number;
}

export interface ManifestPullOptions {
  readonly held: Held;
  readonly tags: Pick<TagStates, "holdOf" | "releasedAtMs">;
  readonly notebook: Notebook;
  readonly proof: Proof;
  readonly refusals: Refusals;
  readonly registries: PullRegistries;
  readonly log: Logger;
  /** Ends when the process stops: questions to upstream are nobody's request. */
  readonly signal: AbortSignal;
}

/** A held tag together with its manifest. */
interface HeldTagged {
  readonly state: TagState;
  readonly manifest: ManifestBytes;
}

/** What upstream said of a tag: nothing new, or this. */
interface Fetched {
  readonly manifest: ManifestBytes;
  readonly outcome: Outcome;
}

/** Pulls of manifests: by tag with freshness, by digest for ever. Rejects with `RegistryError`. */
export class ManifestPull {
  readonly #o: ManifestPullOptions;
  readonly #flights = new SingleFlight<Fetched>();

  constructor(options: ManifestPullOptions) {
    this.#o = options;
  }

  /** Upstream is asked whether a tag still points there unless it said so at `confirmedSinceMs` or later. */
  async get(repository: Repository, reference: Reference, confirmedSinceMs?: number): Promise<ManifestAnswer> {
    const answer =
      reference.kind === "tag"
        ? await this.#byTag(repository, reference.tag, confirmedSinceMs)
        : await this.#byDigest(repository, reference.digest);
    this.#o.notebook.used(repository, answer.digest, reference.kind === "tag" ? reference.tag : undefined);
    return answer;
  }

  /** Has it held again, without that being a use of it. */
  async restore(repository: Repository, digest: Digest): Promise<void> {
    await this.#byDigest(repository, digest);
  }

  /** Waits until no question is under way. */
  async idle(): Promise<void> {
    await this.#flights.idle();
  }

  // ---- by tag

  async #byTag(repository: Repository, tag: Tag, confirmedSinceMs?: number): Promise<ManifestAnswer> {
    const registry = registryOf(this.#o.registries, repository);
    const revalidate = sparing(registry.tagPolicies.for(tag), registry.upstream.quota.verdict);
    const hold = this.#o.tags.holdOf(repository, tag);
    if (hold !== undefined) return await this.#byHold(repository, hold, revalidate.kind === "offline");
    const held = await this.#heldTagged(repository, tag);
    const nowMs = Date.now();
    const sinceMs = Math.max(confirmedSinceMs ?? 0, this.#o.tags.releasedAtMs(repository, tag) ?? 0);
    switch (tagVerdict(held?.state.confirmedAtMs, revalidate, nowMs, sinceMs)) {
      case "refuse":
        throw offline();
      case "fetch":
        return await this.#fetchUnheld(registry, repository, tag);
      case "fresh": {
        const { confirmedAtMs } = (held as HeldTagged).state;
        return { ...(held as HeldTagged).manifest, outcome: freshHit(confirmedAtMs, revalidate, nowMs), confirmedAtMs };
      }
      case "revalidate":
        return await this.#revalidate(registry, repository, tag, held as HeldTagged);
    }
  }

  /** Nobody is asked about the tag: what it is held at is had as by its digest. */
  async #byHold(repository: Repository, digest: Digest, isOffline: boolean): Promise<ManifestAnswer> {
    if (isOffline && (await this.#o.held.manifest(repository, digest)) === undefined) throw offline();
    try {
      const answer = await this.#byDigest(repository, digest);
      return { ...answer, outcome: { ...answer.outcome, byHold: true } };
    } catch (error) {
      // Whoever sees the tag upstream must not look for the fault there.
      if (!(error instanceof RegistryError) || error.status !== 404) throw error;
      const message = `the tag is held here at ${digest}, by a pin: ${error.message}`;
      throw new RegistryError(404, error.code, message, { cause: error, detail: error.detail });
    }
  }

  async #heldTagged(repository: Repository, tag: Tag): Promise<HeldTagged | undefined> {
    const state = await this.#o.held.tag(repository, tag);
    const manifest = state === undefined ? undefined : await this.#o.held.manifest(repository, state.digest);
    return state === undefined || manifest === undefined ? undefined : { state, manifest };
  }

  async #fetchUnheld(registry: PullRegistry, repository: Repository, tag: Tag): Promise<ManifestAnswer> {
    const flight = this.#flights.run(flightKey(repository, tag), performance.now(), () =>
      this.#refusable(repository, tag, () => this.#fetchTag(registry, repository, tag)),
    );
    try {
      const { manifest, outcome } = await flight.result;
      const told: Outcome = flight.joined && outcome.kind === "miss" ? { kind: "joined" } : outcome;
      return { ...manifest, outcome: told, confirmedAtMs: Date.now() };
    } catch (error) {
      throw clientError(error);
    }
  }

  /**
   * One question however many ask, and nobody waits for it past the budget counted from when it was sent: a stalled
   * upstream delays the first client by seconds and the others not at all, whatever is done to the wall clock meanwhile.
   */
  async #revalidate(
    registry: PullRegistry,
    repository: Repository,
    tag: Tag,
    held: HeldTagged,
  ): Promise<ManifestAnswer> {
    const nowMs = performance.now();
    const { result, startedAtMs } = this.#flights.run(flightKey(repository, tag), nowMs, () =>
      this.#refusable(repository, tag, () => this.#askTag(registry, repository, tag, held)),
    );
    try {
      const answer = await within(result, startedAtMs + registry.config.timeouts.askBudgetMs - nowMs);
      if (answer === LATE) return stale(held, "slow");
      return { ...answer.manifest, outcome: answer.outcome, confirmedAtMs: Date.now() };
    } catch (error) {
      return await this.#afterFailure(registry, repository, held, error);
    }
  }

  async #afterFailure(
    registry: PullRegistry,
    repository: Repository,
    held: HeldTagged,
    error: unknown,
  ): Promise<ManifestAnswer> {
    if (!(error instanceof UpstreamError)) throw error;
    const withCredentials = await this.#o.held.fetchedWithCredentials(repository, held.state.digest);
    const facts = { withCredentials, whenDeleted: registry.config.whenDeleted };
    if (afterFailure(error.kind, facts) === "pass-on") throw answerFor(error, "manifest");
    this.#o.log.warn({ repository: repositoryPath(repository), reason: error.kind, upstream: error.message }, "stale");
    return stale(held, error.kind);
  }

  /** HEAD costs no pull on Docker Hub; the manifest itself is only fetched where the tag has moved. */
  async #askTag(registry: PullRegistry, repository: Repository, tag: Tag, held: HeldTagged): Promise<Fetched> {
    const asked = registry.upstream.headManifest(repository.name, { kind: "tag", tag }, this.#o.signal);
    const { digest } = await this.#unlessVanished(repository, tag, held, asked);
    if (digest === undefined) return await this.#fetchTag(registry, repository, tag, held);
    if (digest === held.state.digest) return this.#confirm(repository, tag, held);
    const known = await this.#o.held.manifest(repository, digest);
    const fetched = known === undefined ? await this.#fetchDigest(registry, repository, digest) : moved(known);
    if (fetched.outcome.kind === "miss") await this.#o.held.setTag(repository, tag, digest, Date.now());
    return fetched;
  }

  async #fetchTag(registry: PullRegistry, repository: Repository, tag: Tag, held?: HeldTagged): Promise<Fetched> {
    const asked = registry.upstream.getManifest(repository.name, { kind: "tag", tag }, this.#o.signal);
    const body = await this.#unlessVanished(repository, tag, held, asked);
    const manifest = verified(body, body.digest ?? digestOf(body.bytes));
    if (held !== undefined && manifest.digest === held.state.digest) return this.#confirm(repository, tag, held);
    const fetched = await this.#keep(registry, repository, manifest);
    if (fetched.outcome.kind === "miss") await this.#o.held.setTag(repository, tag, manifest.digest, Date.now());
    return fetched;
  }

  /** What upstream says of the tag itself; that it does not have one that is held is noted. */
  async #unlessVanished<T>(
    repository: Repository,
    tag: Tag,
    held: HeldTagged | undefined,
    asked: Promise<T>,
  ): Promise<T> {
    try {
      return await asked;
    } catch (error) {
      const isGone = error instanceof UpstreamError && error.kind === "not-found";
      if (isGone && held !== undefined) await this.#o.held.vanishTag(repository, tag, held.state, Date.now());
      throw error;
    }
  }

  /** A tag must only ever point to what was kept, hence the difference between "miss" and "unkept". */
  async #keep(registry: PullRegistry, repository: Repository, manifest: ManifestBytes): Promise<Fetched> {
    const kept = await this.#o.held.keepManifest(
      repository,
      manifest,
      registry.upstream.credentialIdFor(repository.name),
    );
    return { manifest, outcome: { kind: kept ? "miss" : "unkept" } };
  }

  #confirm(repository: Repository, tag: Tag, held: HeldTagged): Fetched {
    const nowMs = Date.now();
    this.#o.held.confirmTag(repository, tag, held.state, nowMs);
    this.#o.notebook.confirmed(repository, tag, held.state.digest, nowMs);
    return { manifest: held.manifest, outcome: { kind: "revalidated" } };
  }

  // ---- by digest

  async #byDigest(repository: Repository, digest: Digest): Promise<ManifestAnswer> {
    const held = await this.#o.held.manifest(repository, digest);
    if (held !== undefined) return { ...held, outcome: { kind: "hit" } };
    const registry = registryOf(this.#o.registries, repository);
    const key = flightKey(repository, digest);
    const flight = this.#flights.run(key, performance.now(), () =>
      this.#refusable(repository, digest, () => this.#obtain(registry, repository, digest)),
    );
    try {
      const { manifest, outcome } = await flight.result;
      return { ...manifest, outcome: flight.joined && outcome.kind === "miss" ? { kind: "joined" } : outcome };
    } catch (error) {
      throw clientError(error);
    }
  }

  /** Bytes that another repository brought are linked, once it is proven that this one has them too. */
  async #obtain(registry: PullRegistry, repository: Repository, digest: Digest): Promise<Fetched> {
    const shared = await this.#o.held.manifestBytes(digest);
    if (shared === undefined) return await this.#fetchDigest(registry, repository, digest);
    const known = await this.#o.proof.known("manifest", repository, digest);
    if (known === undefined) {
      await registry.upstream.headManifest(repository.name, { kind: "digest", digest }, this.#o.signal);
    }
    await this.#o.held.keepManifest(repository, shared, registry.upstream.credentialIdFor(repository.name));
    return { manifest: shared, outcome: { kind: "hit" } };
  }

  async #fetchDigest(registry: PullRegistry, repository: Repository, digest: Digest): Promise<Fetched> {
    const body = await registry.upstream.getManifest(repository.name, { kind: "digest", digest }, this.#o.signal);
    return await this.#keep(registry, repository, verified(body, digest));
  }

  async #refusable<T>(repository: Repository, reference: Tag | Digest, ask: () => Promise<T>): Promise<T> {
    const { upstream } = registryOf(this.#o.registries, repository);
    const credentialId = upstream.credentialIdFor(repository.name);
    return await this.#o.refusals.ask(flightKey(repository, reference), credentialId, ask);
  }
}

/** An HTML page sent with 200, or other bytes than those that were asked for, must never be taken for a manifest. */
function verified(body: ManifestBody, digest: Digest): ManifestBytes {
  const actual = digestOf(body.bytes, digestAlgorithm(digest));
  if (actual !== digest) {
    throw new UpstreamError("protocol", `sent a manifest of digest ${actual} instead of ${digest}`);
  }
  const manifest = parseManifest(body.bytes, body.mediaType);
  if (manifest === undefined) {
    throw new UpstreamError("protocol", `sent something that is not a manifest (${body.mediaType ?? "no type"})`);
  }
  return { digest, bytes: body.bytes, manifest };
}

function offline(): RegistryError {
  return new RegistryError(404, "MANIFEST_UNKNOWN", "not held, and upstream is never asked for this tag (offline)");
}

function stale(held: HeldTagged, reason: StaleReason): ManifestAnswer {
  const { confirmedAtMs } = held.state;
  return { ...held.manifest, outcome: { kind: "stale", reason, ageS: ageS(confirmedAtMs, Date.now()) }, confirmedAtMs };
}

/** The tag moved to a manifest that we hold already: asked upstream, nothing fetched. */
function moved(manifest: ManifestBytes): Fetched {
  return { manifest, outcome: { kind: "miss" } };
}

function flightKey(repository: Repository, reference: Tag | Digest): string {
  return `${repositoryPath(repository)} ${reference}`;
}

function clientError(error: unknown): unknown {
  return error instanceof UpstreamError ? answerFor(error, "manifest") : error;
}
