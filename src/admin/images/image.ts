import type { ImageGap, ImageTag, Puller, RepositoryRow } from "../../catalog/images.ts";
import type { Digest } from "../../oci/digest.ts";
import type { RepositoryName } from "../../oci/reference.ts";

/** `index`: it has others below it; `artifact`: what is no container image, as a chart or a signature. */
export type ImageKind = "index" | "image" | "artifact";

/** An image as lists show it. Times are milliseconds since the epoch, sizes bytes. */
export interface InventoryImage {
  readonly registryId: string;
  /** The name that images carry: `docker.io`. */
  readonly serves: string;
  readonly repository: RepositoryName;
  readonly digest: Digest;
  readonly tags: readonly ImageTag[];
  readonly kind: ImageKind;
  readonly mediaType: string;
  readonly artifactType: string | undefined;
  readonly platforms: readonly InventoryPlatform[];
  /** Distinct bytes of all that is held of it. */
  readonly size: number;
  /** What would come back if it were evicted: what no other image has. */
  readonly own: number;
  /** Undefined where all is held that its held manifests name. */
  readonly missing: ImageGap | undefined;
  readonly heldSinceMs: number;
  /** When upstream last said that one of its tags points to it. */
  readonly confirmedAtMs: number | undefined;
  /** Also of one of its platforms; undefined where nobody has since pulls are counted. */
  readonly lastPulledAtMs: number | undefined;
  /** Of the image itself, by tag or digest; those of its platforms are not among them. */
  readonly pulls: number;
  /** The latest first; in lists at most `PULLERS_SHOWN_MAX`. */
  readonly pullers: readonly Puller[];
}

export interface InventoryPlatform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string | undefined;
  readonly digest: Digest;
  readonly isHeld: boolean;
  /** Of what is held of it. */
  readonly size: number;
}

export const IMAGE_SORTS = ["name", "size", "lastPulled", "pulls"] as const;
/** `name` rises, the others fall: the largest first, the latest first. Never pulled comes last. */
export type ImageSort = (typeof IMAGE_SORTS)[number];

export interface ImageFilter {
  readonly registryId?: string | undefined;
  /** A glob over repositories' names without the registry, `library/*`, or with its name, `docker.io/library/*`. */
  readonly repository?: string | undefined;
  /** A glob over tags; images without a tag that fits are left out. */
  readonly tag?: string | undefined;
  /** Within `docker.io/library/nginx:1.27`, or the beginning of the digest, or a glob over images. */
  readonly text?: string | undefined;
  /** Nobody has pulled it since then; what was never pulled counts from when it came. */
  readonly notPulledSinceMs?: number | undefined;
  /** Of more bytes than these. */
  readonly largerThan?: number | undefined;
}

export interface ImagesAsked {
  readonly filter: ImageFilter;
  readonly sort: ImageSort;
  /** The other way round. */
  readonly isReverse?: boolean | undefined;
  /** At most `IMAGES_PER_PAGE_MAX`. */
  readonly limit: number;
  /** `next` of the page before; good for the same filter and sort only. */
  readonly after?: string | undefined;
}

export interface ImagesPage {
  readonly images: readonly InventoryImage[];
  /** Undefined where none follows. */
  readonly next: string | undefined;
}

export const IMAGES_PER_PAGE_MAX = 100;
/** Pullers of one image that lists show. */
export const PULLERS_SHOWN_MAX = 10;

/** What is held of a registry. */
export interface HeldSummary {
  readonly registryId: string;
  readonly repositories: number;
  readonly images: number;
  /** Held repository:tag pairs. */
  readonly tags: number;
  /** Distinct stored contents; those that other registries have too count for each. */
  readonly bytes: number;
}

export interface RepositoriesAsked {
  readonly registryId?: string | undefined;
  /** `next` of the page before. */
  readonly after?: string | undefined;
  /** At most `IMAGES_PER_PAGE_MAX`. */
  readonly limit: number;
}

export interface RepositoriesPage {
  readonly repositories: readonly RepositoryRow[];
  readonly next: string | undefined;
}

/**
 * What is held, for lists. One that is made without what is private leaves that out of all but the sums of registries. Rejects with an
 * `InventoryError` for a question that means nothing, and with the signal's reason.
 */
export interface ImagesView {
  images(asked: ImagesAsked, signal: AbortSignal): Promise<ImagesPage>;
  /**
   * With all its pullers; undefined where it is not held, or not shown. `path` is `docker.io/library/nginx`, `reference` a tag or a
   * digest; of something that an image leads to, it is that image.
   */
  image(path: string, reference: string): Promise<InventoryImage | undefined>;
  repositories(asked: RepositoriesAsked): Promise<RepositoriesPage>;
  /** In the order of their ids. */
  registries(signal: AbortSignal): Promise<readonly HeldSummary[]>;
}
