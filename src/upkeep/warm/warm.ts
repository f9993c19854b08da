import pLimit, { type LimitFunction } from "p-limit";
import { eachOf } from "../../lib/each.ts";
import { orAborted } from "../../lib/wait.ts";
import type { Digest } from "../../oci/digest.ts";
import { RegistryError } from "../../oci/errors.ts";
import { DEFAULT_TAG, type ImageName, type NamedRegistry, parseImageName } from "../../oci/image-name.ts";
import { type Descriptor, type Manifest, UNKNOWN_SIZE } from "../../oci/manifest.ts";
import { isIndexType } from "../../oci/media-types.ts";
import { type Reference, type Repository, repositoryPath } from "../../oci/reference.ts";
import { chosen, type Platforms, platformsOf } from "./platforms.ts";

/** An index may name indexes; deeper ones nobody has. */
const DEPTH_MAX = 4;
/** Of one image. */
const MANIFESTS_MAX = 1_000;

/** What warming needs of the pull room. */
export interface WarmPull {
  /** Rejects with a `RegistryError` where only clients' own credentials would open the repository. */
  assertOpen(repository: Repository, signal: AbortSignal): Promise<void>;
  /** As a client would get it. Rejects with a `RegistryError`, also while pulls are to be spared. */
  manifest(repository: Repository, reference: Reference, signal: AbortSignal): Promise<WarmManifest>;
  /** Makes a blob held. Rejects with a `RegistryError`. */
  blob(
    repository: Repository,
    digest: Digest,
    signal: AbortSignal,
    onBytes: (bytes: number) => void,
  ): Promise<"held" | "fetched">;
}

export interface WarmManifest {
  readonly digest: Digest;
  readonly manifest: Manifest;
  /** Bytes. */
  readonly size: number;
  /** Why upstream's word is missing, where it is. */
  readonly stale?: string | undefined;
  /** False where there was no room to keep it. */
  readonly isKept: boolean;
}

/** One image of a run. */
export interface WarmImage {
  readonly reference: string;
  readonly state: "waiting" | "running" | "done" | "failed";
  /** Its repository and what the reference led to, once that is known. */
  readonly repository?: string | undefined;
  readonly digest?: string | undefined;
  /** Of its blobs and manifests, as far as is known. */
  readonly bytes: number;
  readonly bytesThere: number;
  readonly blobs: number;
  readonly blobsFetched: number;
  /** Upstream could not be asked, and why: what is held was taken for it. */
  readonly stale?: string | undefined;
  /** Why it failed. */
  readonly error?: { readonly status: number; readonly code: string; readonly message: string } | undefined;
}

export interface WarmOptions {
  readonly references: readonly string[];
  readonly platforms: Platforms;
  /** Images, and blobs over all of them, at once. */
  readonly concurrency: number;
  readonly registries: readonly NamedRegistry[];
  readonly pull: WarmPull;
  /** Ends the run; fills go on. */
  readonly signal: AbortSignal;
  /** Hears whenever an image begins, or has come to its end. */
  readonly onChange?: (image: WarmImage) => void;
}

/** Pulls images ahead of time, as a client would that throws everything away. */
export class WarmRun {
  readonly #o: WarmOptions;
  readonly #images: Image[];
  readonly #limit: LimitFunction;

  constructor(options: WarmOptions) {
    this.#o = options;
    this.#images = [...new Set(options.references)].map((reference) => new Image(reference));
    this.#limit = pLimit(options.concurrency);
  }

  /** All of them as they are now, in the order in which they were asked for. */
  get images(): readonly WarmImage[] {
    return this.#images.map((image) => image.now());
  }

  /** Resolves when every image is done or has failed; rejects with the signal's reason. */
  async run(): Promise<void> {
    await eachOf(this.#images, this.#o.concurrency, async (image) => {
      this.#o.signal.throwIfAborted();
      image.state = "running";
      this.#o.onChange?.(image.now());
      await this.#warm(image);
      this.#o.onChange?.(image.now());
    });
  }

  async #warm(image: Image): Promise<void> {
    try {
      const name = this.#nameOf(image.reference);
      image.repository = repositoryPath(name.repository);
      await this.#o.pull.assertOpen(name.repository, this.#o.signal);
      const blobs = await this.#manifests(image, name);
      const brought = await Promise.allSettled(
        [...blobs.values()].map(async (blob) => await this.#limit(() => this.#blob(image, name.repository, blob))),
      );
      // The others are of use all the same.
      const failed = brought.find((one) => one.status === "rejected");
      if (failed !== undefined) throw failed.reason;
      image.state = "done";
    } catch (error) {
      this.#o.signal.throwIfAborted();
      image.fail(error);
    }
  }

  #nameOf(reference: string): ImageName {
    const name = parseImageName(reference, this.#o.registries);
    if (!("problem" in name)) return name;
    throw name.problem === "bad"
      ? new RegistryError(400, "NAME_INVALID", "no image can be called so")
      : new RegistryError(404, "NAME_UNKNOWN", `the registry ${name.host} is not configured here`);
  }

  /** Fetches the manifests; gives the blobs that they name. */
  async #manifests(image: Image, { repository, tag, digest }: ImageName): Promise<ReadonlyMap<Digest, Descriptor>> {
    const blobs = new Map<Digest, Descriptor>();
    const top: Reference = digest === undefined ? { kind: "tag", tag: tag ?? DEFAULT_TAG } : { kind: "digest", digest };
    const seen = new Set<Digest>();
    let level: Reference[] = [top];
    for (let depth = 0; depth < DEPTH_MAX && level.length > 0; depth += 1) {
      const next: Reference[] = [];
      for (const reference of level) {
        this.#o.signal.throwIfAborted();
        const { signal } = this.#o;
        const { manifest, ...got } = await orAborted(this.#o.pull.manifest(repository, reference, signal), signal);
        image.took(got);
        seen.add(got.digest);
        const children = this.#childrenOf(manifest).filter((child) => !seen.has(child.digest));
        if (seen.size + next.length + children.length > MANIFESTS_MAX)
          throw new RegistryError(422, "MANIFEST_INVALID", `it has more than ${MANIFESTS_MAX} manifests`);
        next.push(...children.map((child): Reference => ({ kind: "digest", digest: child.digest })));
        for (const blob of manifest.blobs) blobs.set(blob.digest, blob);
      }
      level = next;
    }
    image.names(blobs);
    return blobs;
  }

  #childrenOf(manifest: Manifest): readonly Descriptor[] {
    if (!isIndexType(manifest.mediaType)) return manifest.manifests;
    const { children, lacking } = chosen(manifest, this.#o.platforms);
    if (lacking.length === 0) return children;
    const there = platformsOf(manifest).join(", ");
    throw new RegistryError(404, "MANIFEST_UNKNOWN", `there is none for ${lacking.join(", ")}, only for ${there}`);
  }

  async #blob(image: Image, repository: Repository, { digest }: Descriptor): Promise<void> {
    this.#o.signal.throwIfAborted();
    const onBytes = (bytes: number) => image.bytesOf.set(digest, bytes);
    if ((await this.#o.pull.blob(repository, digest, this.#o.signal, onBytes)) === "fetched") image.blobsFetched += 1;
  }
}

/** One image while it is warmed. */
class Image {
  readonly reference: string;
  state: WarmImage["state"] = "waiting";
  repository: string | undefined;
  blobsFetched = 0;
  /** Of each blob, what is there. */
  readonly bytesOf = new Map<Digest, number>();
  #digest: Digest | undefined;
  #stale: string | undefined;
  #error: WarmImage["error"];
  #manifestBytes = 0;
  #blobBytes = 0;
  #blobs = 0;

  constructor(reference: string) {
    this.reference = reference;
  }

  took({ digest, size, stale, isKept }: Omit<WarmManifest, "manifest">): void {
    if (!isKept) throw new RegistryError(507, "UNAVAILABLE", "it could not be kept: there is no room on the disk");
    this.#digest ??= digest;
    this.#stale ??= stale;
    this.#manifestBytes += size;
  }

  names(blobs: ReadonlyMap<Digest, Descriptor>): void {
    this.#blobs = blobs.size;
    for (const { size } of blobs.values()) this.#blobBytes += size === UNKNOWN_SIZE ? 0 : size;
  }

  fail(error: unknown): void {
    this.state = "failed";
    const known = error instanceof RegistryError ? error : new RegistryError(500, "UNKNOWN", String(error));
    this.#error = { status: known.status, code: known.code, message: known.message };
  }

  now(): WarmImage {
    const { reference, state, repository, blobsFetched } = this;
    const there = [...this.bytesOf.values()].reduce((sum, bytes) => sum + bytes, 0);
    return {
      reference,
      state,
      repository,
      digest: this.#digest,
      bytes: this.#manifestBytes + this.#blobBytes,
      bytesThere: this.#manifestBytes + there,
      blobs: this.#blobs,
      blobsFetched,
      stale: this.#stale,
      error: this.#error,
    };
  }
}
