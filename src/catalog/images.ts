import type { Digest } from "../oci/digest.ts";
import type { RepositoryName, Tag } from "../oci/reference.ts";
import type { Unlisted } from "./catalog.ts";

/** Pullers of one image that lists show, the latest first. */
export const PULLERS_SHOWN_MAX = 10;

/** A place among the images: repositories by their path, images within one by digest. */
export interface ImagePlace {
  /** `docker.io/library/nginx`. */
  readonly path: string;
  /** Empty: before the first. */
  readonly digest: string;
}

export interface ImagesQuery {
  readonly registryId?: string;
  /** One repository alone. */
  readonly path?: string;
  readonly after?: ImagePlace;
  /** At most 100. */
  readonly limit: number;
  readonly except?: Unlisted;
}

/** A manifest that a repository has and that no other held manifest of it names. Times are milliseconds since the epoch, sizes bytes. */
export interface ImageRow {
  /** Of its manifest, in this catalog. */
  readonly id: number;
  readonly registryId: string;
  readonly serves: string;
  readonly repository: RepositoryName;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly artifactType: string | undefined;
  readonly subject: Digest | undefined;
  readonly heldAtMs: number;
  readonly pulls: number;
  /** Also of what it names. */
  readonly lastPulledAtMs: number | undefined;
  readonly tags: readonly ImageTag[];
}

/** A tag that leads to the image, by itself or by a manifest that the image names. */
export interface ImageTag {
  readonly tag: Tag;
  /** Where it points: to the image, or to one of its platforms. */
  readonly digest: Digest;
  readonly firstSeenAtMs: number;
  readonly confirmedAtMs: number;
  readonly pulls: number;
  readonly lastPulledAtMs: number | undefined;
}

/** A manifest that an image names. */
export interface ImageChild {
  readonly digest: Digest;
  /** `linux/arm64/v8`, as the index says. */
  readonly platform: string | undefined;
  readonly isHeld: boolean;
  /** Of what is held of it. */
  readonly size: number;
}

export interface Puller {
  /** A user's name, else the client's address. */
  readonly name: string;
  readonly pulls: number;
  readonly lastPulledAtMs: number;
}

/** What is held, image by image; each question is bounded work, since SQLite answers with all sockets waiting. */
export interface ImageCatalog {
  /** In the order of their places. */
  images(query: ImagesQuery): Promise<ImageRow[]>;
  /** Distinct bytes of all that is held of each, by its id. At most 100 at once. */
  imageSizes(ids: readonly number[]): Promise<ReadonlyMap<number, number>>;
  /** What the image names, held or not. */
  imageChildren(id: number): Promise<ImageChild[]>;
  /** The latest first. */
  pullersOf(id: number, limit: number): Promise<Puller[]>;
}
