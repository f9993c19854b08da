import { createHash } from "node:crypto";

/** What the store holds, from numbers alone: the same in every run and in stores of every size. */

const REGISTRIES = [
  { id: "dockerhub", serves: "docker.io" },
  { id: "dockerhub", serves: "docker.io" },
  { id: "dockerhub", serves: "docker.io" },
  { id: "dockerhub", serves: "docker.io" },
  { id: "ghcr", serves: "ghcr.io" },
  { id: "ghcr", serves: "ghcr.io" },
  { id: "quay", serves: "quay.io" },
  { id: "gcr", serves: "gcr.io" },
  { id: "k8s", serves: "registry.k8s.io" },
] as const;
/** Few repositories have many tags. All are multiples of IMAGES_CYCLE. */
const TAGS = [5, 5, 5, 5, 10, 10, 20, 20, 20, 100] as const;
export const TAGS_PER_TEN_REPOSITORIES = 200;
/** Of five tags: two indexes with two platforms, two single images, and one more name of the last of these. */
const IMAGES_CYCLE = 5;
const PLATFORMS = ["amd64", "arm64"] as const;
const LAYERS_PER_IMAGE = 6;

const INDEX = "application/vnd.oci.image.index.v1+json";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const CONFIG = "application/vnd.oci.image.config.v1+json";
const LAYER = "application/vnd.oci.image.layer.v1.tar+gzip";

export interface PlannedRepository {
  readonly index: number;
  readonly registryId: string;
  readonly serves: string;
  readonly name: string;
  readonly path: string;
  readonly tags: number;
}

export interface PlannedContent {
  readonly digest: string;
  readonly mediaType: string;
  readonly size: number;
  /** Undefined for a layer: its file is sparse. */
  readonly bytes: string | undefined;
}

export interface PlannedManifest extends PlannedContent {
  readonly bytes: string;
  readonly names: readonly { readonly kind: "manifest" | "blob"; readonly digest: string; readonly size: number }[];
}

/** One or two tags that point to the first of the manifests. */
export interface PlannedImage {
  readonly tags: readonly string[];
  readonly manifests: readonly PlannedManifest[];
  readonly blobs: readonly PlannedContent[];
}

export function repositoryAt(index: number): PlannedRepository {
  const { id, serves } = REGISTRIES[index % REGISTRIES.length] ?? REGISTRIES[0];
  const name = `team${index % 97}/service-${index}`;
  return { index, registryId: id, serves, name, path: `${serves}/${name}`, tags: TAGS[index % TAGS.length] ?? 0 };
}

export function imagesOf({ index, tags }: PlannedRepository): PlannedImage[] {
  return Array.from({ length: tags / IMAGES_CYCLE }, (_, cycle) => {
    const tag = (number: number) => `1.${cycle}.${number}`;
    const key = (number: number) => `${index} ${cycle} ${number}`;
    return [
      multiPlatform([tag(0)], key(0)),
      multiPlatform([tag(1)], key(1)),
      singlePlatform([tag(2)], key(2)),
      singlePlatform([tag(3), `1.${cycle}`], key(3)),
    ];
  }).flat();
}

function multiPlatform(tags: readonly string[], key: string): PlannedImage {
  const images = PLATFORMS.map((platform) => imageOf(`${key} ${platform}`, platform));
  const children = images.map(({ manifest }) => manifest);
  const manifests = children.map(({ mediaType, digest, size }, at) => ({
    mediaType,
    digest,
    size,
    platform: { architecture: PLATFORMS[at], os: "linux" },
  }));
  const index = manifestOf(
    INDEX,
    { manifests },
    children.map(({ digest, size }) => ({ kind: "manifest", digest, size })),
  );
  return { tags, manifests: [index, ...children], blobs: images.flatMap(({ blobs }) => blobs) };
}

function singlePlatform(tags: readonly string[], key: string): PlannedImage {
  const { manifest, blobs } = imageOf(key, "amd64");
  return { tags, manifests: [manifest], blobs };
}

function imageOf(key: string, architecture: string): { manifest: PlannedManifest; blobs: readonly PlannedContent[] } {
  const layers = Array.from({ length: LAYERS_PER_IMAGE }, (_, layer) => layerOf(`${key} ${layer}`));
  const rootfs = { type: "layers", diff_ids: layers.map(({ digest }) => digest) };
  const config = contentOf(CONFIG, JSON.stringify({ architecture, os: "linux", config: { Env: [key] }, rootfs }));
  const blobs = [config, ...layers];
  const described = blobs.map(({ mediaType, digest, size }) => ({ mediaType, digest, size }));
  const names = blobs.map(({ digest, size }) => ({ kind: "blob" as const, digest, size }));
  const manifest = manifestOf(MANIFEST, { config: described[0], layers: described.slice(1) }, names);
  return { manifest, blobs };
}

function manifestOf(mediaType: string, fields: object, names: PlannedManifest["names"]): PlannedManifest {
  const bytes = JSON.stringify({ schemaVersion: 2, mediaType, ...fields });
  return { ...contentOf(mediaType, bytes), bytes, names };
}

function contentOf(mediaType: string, bytes: string): PlannedContent {
  return { digest: `sha256:${sha256(bytes).toString("hex")}`, mediaType, size: Buffer.byteLength(bytes), bytes };
}

/** The digest is of its name, since nobody reads it; small, lest a `grep -r` over the cache never ends. */
function layerOf(key: string): PlannedContent {
  const hash = sha256(`layer ${key}`);
  const size = 1024 + (hash.readUInt16LE(0) % 8192);
  return { digest: `sha256:${hash.toString("hex")}`, mediaType: LAYER, size, bytes: undefined };
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
