import type { Digest } from "../oci/digest.ts";
import type { RepositoryName, Tag } from "../oci/reference.ts";
import type { RepositoriesQuery, Unlisted } from "./catalog.ts";

/** A place among the images: repositories by their path, images within one by digest. */
export interface ImagePlace {
  /** `docker.io/library/nginx`. */
  readonly path: string;
  /** Empty: before the first. */
  readonly digest: string;
}

export interface ImagesQuery {
  readonly registryId?: string | undefined;
  /** One repository alone. */
  readonly path?: string | undefined;
  /** Of one image. */
  readonly digest?: Digest | undefined;
  readonly after?: ImagePlace | undefined;
  readonly limit: number;
  readonly except?: Unlisted | undefined;
}

/**
 * A manifest that a repository has and that no other held manifest of it leads to, by naming it or by being its subject. Times are
 * milliseconds since the epoch, sizes bytes.
 */
export interface ImageRow {
  /** Of its manifest, in this catalog. */
  readonly id: number;
  readonly registryId: string;
  readonly serves: string;
  readonly repository: RepositoryName;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly artifactType: string | undefined;
  readonly heldAtMs: number;
  /** Of the manifest itself. */
  readonly pulls: number;
  /** Also of what it names. */
  readonly lastPulledAtMs: number | undefined;
  readonly tags: readonly ImageTag[];
}

/** A tag that points to the image, or to a manifest that the image leads to. */
export interface ImageTag {
  readonly tag: Tag;
  readonly digest: Digest;
  readonly firstSeenAtMs: number;
  readonly confirmedAtMs: number;
  /** By this tag, wherever it pointed. */
  readonly pulls: number;
  readonly lastPulledAtMs: number | undefined;
}

/** A manifest that an image names. */
export interface ImageChild {
  /** Of its manifest; undefined where that is not held. */
  readonly id: number | undefined;
  readonly digest: Digest;
  /** `linux/arm64/v8`, as the index says. */
  readonly platform: string | undefined;
}

/** Blobs that an image's held manifests name and its repository does not have. */
export interface ImageGap {
  readonly contents: number;
  /** So many are named in all. */
  readonly of: number;
  readonly bytes: number;
}

export interface Puller {
  /** A user's name, else the client's address. */
  readonly name: string;
  readonly pulls: number;
  readonly lastPulledAtMs: number;
}

export interface RepositoryRow {
  readonly registryId: string;
  readonly serves: string;
  readonly repository: RepositoryName;
  readonly images: number;
  readonly tags: number;
  /** Distinct bytes of all that is held of it. */
  readonly bytes: number;
  readonly lastPulledAtMs: number | undefined;
}

/** What is held, image by image; whoever asks for much asks in pieces, since SQLite answers with all sockets waiting. */
export interface ImageCatalog {
  /** In the order of their places. */
  images(query: ImagesQuery): Promise<ImageRow[]>;
  /** What the image names, held or not. */
  imageChildren(id: number): Promise<ImageChild[]>;
  /** Distinct bytes of all that is held of each, by the ids of their manifests. */
  imageSizes(ids: readonly number[]): Promise<ReadonlyMap<number, number>>;
  /** What is not held of each that is not held whole, by the ids of their manifests. */
  imageGaps(ids: readonly number[]): Promise<ReadonlyMap<number, ImageGap>>;
  /** So many of each manifest, the latest first, by its id. */
  pullersOf(ids: readonly number[], limit: number): Promise<ReadonlyMap<number, Puller[]>>;
  /** Held repositories after `last` in lexical order of their store path. */
  repositorySummaries(query: RepositoriesQuery): Promise<RepositoryRow[]>;
}
