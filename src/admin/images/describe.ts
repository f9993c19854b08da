import { worthOf } from "../../upkeep/evict/choose.ts";
import type { Catalog } from "../../catalog/catalog.ts";
import type { ImageCatalog, ImageChild, ImageRow } from "../../catalog/images.ts";
import type { Digest } from "../../oci/digest.ts";
import { isIndexType } from "../../oci/media-types.ts";
import type { ImageKind, InventoryImage, InventoryPlatform } from "./image.ts";
import type { Sizes } from "./sizes.ts";

export interface DescribeOptions {
  readonly catalog: Pick<ImageCatalog, "imageChildren" | "imageGaps" | "pullersOf"> & Pick<Catalog, "leaving">;
  readonly sizes: Pick<Sizes, "now">;
  /** `linux/arm64/v8`, of an image that stands in no index. */
  readonly platformOf: (digest: Digest) => Promise<string | undefined>;
}

/** All that lists say of an image. */
export async function describeImage(
  { catalog, sizes, platformOf }: DescribeOptions,
  row: ImageRow,
  pullersMax: number,
): Promise<InventoryImage> {
  const { id, registryId, serves, repository, digest, tags } = row;
  const kind = kindOf(row);
  const children = kind === "index" ? await catalog.imageChildren(id) : [];
  const held = children.flatMap((child) => child.id ?? []);
  const known = await sizes.now([id, ...held]);
  const leaving = await catalog.leaving({ registryId, serves, name: repository }, digest);
  const size = known.get(id) ?? 0;
  const confirmed = tags.filter((tag) => tag.digest === digest).map((tag) => tag.confirmedAtMs);
  return {
    registryId,
    serves,
    repository,
    digest,
    tags,
    kind,
    mediaType: row.mediaType,
    artifactType: kind === "artifact" ? row.artifactType : undefined,
    platforms: kind === "image" ? await ofItself(row, size, platformOf) : ofChildren(children, known),
    size,
    own: worthOf(leaving?.contents ?? []).bytes,
    missing: (await catalog.imageGaps([id])).get(id),
    heldSinceMs: row.heldAtMs,
    confirmedAtMs: confirmed.length === 0 ? undefined : Math.max(...confirmed),
    lastPulledAtMs: row.lastPulledAtMs,
    pulls: row.pulls,
    pullers: (await catalog.pullersOf([id], pullersMax)).get(id) ?? [],
  };
}

/** Configurations of container images; what else a manifest has for one makes it something else. */
const IMAGE_CONFIGS: ReadonlySet<string> = new Set([
  "application/vnd.docker.container.image.v1+json",
  "application/vnd.oci.image.config.v1+json",
]);

function kindOf({ mediaType, artifactType }: ImageRow): ImageKind {
  if (isIndexType(mediaType)) return "index";
  return artifactType === undefined || IMAGE_CONFIGS.has(artifactType) ? "image" : "artifact";
}

/** What no machine runs, as attestations, has an unknown one. */
function ofChildren(children: readonly ImageChild[], sizes: ReadonlyMap<number, number>): InventoryPlatform[] {
  return children.flatMap(({ id, digest, platform }) => {
    const parsed = platform === undefined ? undefined : parsePlatform(platform);
    if (parsed === undefined || parsed.os === "unknown") return [];
    return [{ ...parsed, digest, isHeld: id !== undefined, size: id === undefined ? 0 : (sizes.get(id) ?? 0) }];
  });
}

async function ofItself(
  { digest }: ImageRow,
  size: number,
  platformOf: DescribeOptions["platformOf"],
): Promise<InventoryPlatform[]> {
  const platform = await platformOf(digest);
  const parsed = platform === undefined ? undefined : parsePlatform(platform);
  return parsed === undefined ? [] : [{ ...parsed, digest, isHeld: true, size }];
}

/** `linux/arm64/v8`. */
function parsePlatform(text: string): Pick<InventoryPlatform, "os" | "architecture" | "variant"> | undefined {
  const [os = "", architecture, variant] = text.split("/");
  return architecture === undefined ? undefined : { os, architecture, variant };
}
