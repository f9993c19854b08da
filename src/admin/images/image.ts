import type { ImageTag, Puller } from "../../catalog/images.ts";
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
  /** What would come back if it were evicted: what nobody else has. */
  readonly own: number | undefined;
  readonly heldSinceMs: number;
  /** When upstream last said that one of its tags points to it. */
  readonly confirmedAtMs: number | undefined;
  /** Undefined where nobody has since pulls are counted. */
  readonly lastPulledAtMs: number | undefined;
  /** Of the image itself, by tag or digest; those of its platforms are not among them. */
  readonly pulls: number;
  /** The latest first, at most `PULLERS_SHOWN_MAX`. */
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
  /** A glob over repositories' names without the registry: `library/*`. */
  readonly repository?: string | undefined;
  /** A glob over tags; images without a tag that fits are left out. */
  readonly tag?: string | undefined;
  /** Within `docker.io/library/nginx:1.27`, or the beginning of the digest. */
  readonly text?: string | undefined;
  /** Nobody has pulled it since then; what was never pulled counts from when it came. */
  readonly notPulledSinceMs?: number | undefined;
  /** Of more bytes than these. */
  readonly largerThan?: number | undefined;
}

export interface ImagesAsked {
  readonly filter: ImageFilter;
  readonly sort: ImageSort;
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

/** What is held of a repository, and of a registry. */
export interface HeldSummary {
  readonly registryId: string;
  readonly repositories: number;
  readonly images: number;
  /** Held repository:tag pairs. */
  readonly tags: number;
  /** Distinct stored contents. */
  readonly bytes: number;
}

export interface RepositorySummary {
  readonly registryId: string;
  readonly serves: string;
  readonly repository: RepositoryName;
  readonly images: number;
  readonly tags: number;
  /** Distinct bytes of all that is held of it. */
  readonly bytes: number;
  readonly lastPulledAtMs: number | undefined;
}

/** What is held, for lists. Made with or without what is private. Rejects with `InventoryError` for a filter or a place that is none. */
export interface ImagesView {
  images(asked: ImagesAsked, signal: AbortSignal): Promise<ImagesPage>;
  /** With all its pullers; undefined where it is not held, or not shown. A reference is a tag or a digest; a digest may be one of a platform. */
  image(path: string, reference: string): Promise<InventoryImage | undefined>;
  repositories(
    asked: { readonly registryId?: string | undefined; readonly after?: string | undefined; readonly limit: number },
    signal: AbortSignal,
  ): Promise<{ readonly repositories: readonly RepositorySummary[]; readonly next: string | undefined }>;
  registries(): Promise<readonly HeldSummary[]>;
}
