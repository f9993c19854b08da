import { SingleFlight } from "../lib/single-flight.ts";
import { orAborted } from "../lib/wait.ts";
import type { Digest } from "../oci/digest.ts";
import { type Repository, repositoryPath } from "../oci/reference.ts";
import { UpstreamError } from "../upstream/upstream.ts";
import { type BlobAnswer, storedAnswer } from "./blob-answer.ts";
import type { ByteReader } from "./bytes.ts";
import type { Fill } from "./fill.ts";
import { FillReader } from "./fill-reader.ts";
import type { Fills } from "./fills.ts";
import type { Held } from "./held.ts";
import type { Notebook } from "./notebook.ts";
import type { Outcome } from "./outcome.ts";
import type { Belonging, Proof } from "./proof.ts";
import type { Refusals } from "./refusals.ts";
import { type PullRegistries, registryOf } from "./registries.ts";
import type { NamedSize, StoredBlobs } from "./stored-blobs.ts";
import { answerFor } from "./upstream-answer.ts";

export interface BlobPullOptions {
  readonly blobs: StoredBlobs;
  readonly held: Held;
  readonly notebook: Notebook;
  readonly proof: Proof;
  readonly refusals: Refusals;
  readonly fills: Fills;
  readonly registries: PullRegistries;
  readonly signal: AbortSignal;
}

/** How often a request looks again because a fill began, ended or failed meanwhile. */
const ROUNDS_MAX = 10;

/** Pulls of blobs: from the store, else by following the digest's one fill. Rejects with `RegistryError`. */
export class BlobPull {
  readonly #o: BlobPullOptions;
  readonly #probes = new SingleFlight<Belonging>();

  constructor(options: BlobPullOptions) {
    this.#o = options;
  }

  /** `signal` is the client's: it ends the waiting, not the fill. */
  async get(repository: Repository, digest: Digest, signal: AbortSignal): Promise<BlobAnswer> {
    try {
      const answer = await this.#answer(repository, digest, signal);
      this.#o.notebook.used(repository, digest);
      return answer;
    } catch (error) {
      throw error instanceof UpstreamError ? answerFor(error, "blob") : error;
    }
  }

  /** Never downloads the blob: the size is known from the store, a manifest, a running fill, or upstream's HEAD. */
  async head(repository: Repository, digest: Digest, signal: AbortSignal): Promise<{ size: number; outcome: Outcome }> {
    try {
      const stored = await this.#storedSize(repository, digest, signal);
      if (stored !== undefined) return { size: stored, outcome: { kind: "hit" } };
      const named = await this.#o.proof.named(repository, digest);
      const belonging = named ?? (await this.#probe(repository, digest));
      const size = belonging.size ?? this.#o.fills.find(digest)?.size ?? (await this.#probe(repository, digest)).size;
      if (size === undefined) throw new UpstreamError("protocol", "did not say the size of the blob");
      return { size, outcome: { kind: "miss" } };
    } catch (error) {
      throw error instanceof UpstreamError ? answerFor(error, "blob") : error;
    }
  }

  /** Bytes of what is held and belongs to the repository; undefined where it would have to be fetched. */
  async heldSize(repository: Repository, digest: Digest, signal: AbortSignal): Promise<number | undefined> {
    try {
      return await this.#storedSize(repository, digest, signal);
    } catch (error) {
      throw error instanceof UpstreamError ? answerFor(error, "blob") : error;
    }
  }

  async #storedSize(repository: Repository, digest: Digest, signal: AbortSignal): Promise<number | undefined> {
    const size = await this.#o.blobs.size(digest, this.#namedSize(repository, digest), signal);
    if (size === undefined) return undefined;
    await this.#ensureLinked(repository, digest, size);
    // Whoever asks for its size has it, or will: it is used by those as well.
    this.#o.notebook.used(repository, digest);
    return size;
  }

  /**
   * A running fill is followed, else the store is read, else a fill is started. Each look takes time in which others may
   * start or end the digest's fill, so that the looks begin anew when one did: a fill of others is joined with proof only.
   */
  async #answer(repository: Repository, digest: Digest, signal: AbortSignal): Promise<BlobAnswer> {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const running = this.#o.fills.find(digest);
      const there =
        running === undefined
          ? await this.#stored(repository, digest, signal)
          : await this.#joined(running, repository, signal);
      if (there !== undefined) return there;
      // Both at once: a client waits for its first byte.
      const naming = this.#o.proof.named(repository, digest);
      const storedSize = this.#o.blobs.size(digest, async () => (await naming)?.size, signal);
      const [named, stored] = await Promise.all([naming, storedSize]);
      if (stored !== undefined || this.#o.fills.find(digest) !== undefined) continue;
      return await this.#started(repository, digest, named?.size, signal);
    }
    throw new UpstreamError(
      "overloaded",
      "the transfers of this blob for other repositories failed one after the other",
    );
  }

  async #stored(repository: Repository, digest: Digest, signal: AbortSignal): Promise<BlobAnswer | undefined> {
    const blob = await this.#o.blobs.open(digest, this.#namedSize(repository, digest), signal);
    if (blob === undefined) return undefined;
    try {
      await orAborted(this.#ensureLinked(repository, digest, blob.size), signal);
    } catch (error) {
      await blob.close();
      throw error;
    }
    return storedAnswer(digest, blob, signal);
  }

  #namedSize(repository: Repository, digest: Digest): NamedSize {
    return async () => (await this.#o.proof.named(repository, digest))?.size;
  }

  /** A blob that another repository brought is linked once it is proven that this one has it too. */
  async #ensureLinked(repository: Repository, digest: Digest, size: number): Promise<void> {
    if (await this.#o.held.hasLink("layer", repository, digest)) return;
    await this.#belonging(repository, digest);
    const { upstream } = registryOf(this.#o.registries, repository);
    await this.#o.held.linkBlob(repository, digest, size, upstream.credentialIdFor(repository.name));
  }

  async #belonging(repository: Repository, digest: Digest): Promise<Belonging> {
    return (await this.#o.proof.known("layer", repository, digest)) ?? (await this.#probe(repository, digest));
  }

  async #probe(repository: Repository, digest: Digest): Promise<Belonging> {
    const { upstream } = registryOf(this.#o.registries, repository);
    const question = blobQuestion(repository, digest);
    const { result } = this.#probes.run(question, performance.now(), () =>
      this.#o.refusals.ask(question, upstream.credentialIdFor(repository.name), () =>
        upstream.probeBlob(repository.name, digest, this.#o.signal),
      ),
    );
    return await result;
  }

  async #started(
    repository: Repository,
    digest: Digest,
    size: number | undefined,
    signal: AbortSignal,
  ): Promise<BlobAnswer> {
    const { upstream } = registryOf(this.#o.registries, repository);
    return await this.#o.refusals.ask(
      blobQuestion(repository, digest),
      upstream.credentialIdFor(repository.name),
      async () => {
        const prove = async () => await this.#belonging(repository, digest);
        const fill = this.#o.fills.start(repository, digest, size, prove);
        const answer = await this.#follow(fill, repository, signal, "miss");
        if (answer === undefined) throw failureOf(fill);
        return answer;
      },
    );
  }

  /** Undefined where another repository's upstream has failed: ours may not. Our own would only fail again. */
  async #joined(fill: Fill, repository: Repository, signal: AbortSignal): Promise<BlobAnswer | undefined> {
    const isOwn = this.#o.fills.isFrom(fill, repository);
    const answer = await this.#follow(fill, repository, signal, "joined");
    if (answer === undefined && isOwn) throw failureOf(fill);
    return answer;
  }

  /** Undefined where the fill failed before it had a byte. */
  async #follow(
    fill: Fill,
    repository: Repository,
    signal: AbortSignal,
    how: "joined" | "miss",
  ): Promise<BlobAnswer | undefined> {
    // First of all, since a fill without readers closes its spool as soon as it has ended.
    fill.join();
    try {
      if (!this.#o.fills.isFor(fill, repository)) {
        await orAborted(this.#belonging(repository, fill.digest), signal);
        this.#o.fills.alsoFor(fill, repository);
      }
      await begun(fill, signal);
      if (fill.state.kind !== "failed") return await this.#followed(fill, repository, signal, how);
      await fill.leave();
      return undefined;
    } catch (error) {
      await fill.leave();
      throw error;
    }
  }

  async #followed(
    fill: Fill,
    repository: Repository,
    signal: AbortSignal,
    how: "joined" | "miss",
  ): Promise<BlobAnswer> {
    const openUpstream = this.#o.fills.opener(repository, fill.digest);
    const openPart = this.#o.fills.opener(repository, fill.digest, "part");
    const size = fill.size ?? (await this.#sizeOf(fill, repository, signal));
    return {
      digest: fill.digest,
      size,
      outcome: { kind: fill.state.kind === "unkept" ? "unkept" : how },
      isHeld: false,
      open: async (span) => speaking(new FillReader({ fill, span, size, openUpstream, openPart, signal })),
      close: async () => await fill.leave(),
    };
  }

  /** An upstream that sends no length says it to a HEAD, most often; else the whole has to be waited for. */
  async #sizeOf(fill: Fill, repository: Repository, signal: AbortSignal): Promise<number> {
    try {
      const { size } = await orAborted(this.#probe(repository, fill.digest), signal);
      if (size !== undefined) return size;
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
    }
    return await measured(fill, signal);
  }
}

/** Waits until upstream has sent something, or the fill has come to an end. */
async function begun(fill: Fill, signal: AbortSignal): Promise<void> {
  while (fill.state.kind === "filling" && fill.writtenBytes === 0) await fill.changed(signal);
}

/** Waits until the size is known, at the latest at the end of the fill. */
async function measured(fill: Fill, signal: AbortSignal): Promise<number> {
  while (fill.state.kind === "filling" && fill.size === undefined) await fill.changed(signal);
  if (fill.size !== undefined) return fill.size;
  throw fill.state.kind === "failed" ? fill.state.error : new UpstreamError("protocol", "did not say the blob's size");
}

function failureOf(fill: Fill): unknown {
  return fill.state.kind === "failed" ? fill.state.error : new Error("a fill ended without a reason");
}

/** Turns what upstream did into what a client is told. */
function speaking(reader: ByteReader): ByteReader {
  return {
    next: async (position) => {
      try {
        return await reader.next(position);
      } catch (error) {
        throw error instanceof UpstreamError ? answerFor(error, "blob") : error;
      }
    },
    close: async () => await reader.close(),
  };
}

function blobQuestion(repository: Repository, digest: Digest): string {
  return `${repositoryPath(repository)} blob ${digest}`;
}
