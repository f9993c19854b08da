import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { seededBytes, sha256 } from "../test/support/bytes.ts";

export const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip";
const MIB = 1024 * 1024;
const MB = 1_000_000;

export interface Blob {
  readonly digest: string;
  readonly size: number;
}

export interface Image {
  /** As a client of Docker Hub names it. */
  readonly repository: string;
  readonly tag: string;
  readonly manifest: Blob;
  readonly config: Blob;
  readonly layers: readonly Blob[];
}

export interface Fixtures {
  /** Two layers, `small` and `large`, that all hot rows ask for. */
  readonly hot: Image;
  /** 1 MiB: of the size of most layers and configs of small images. */
  readonly small: Blob;
  /** 256 MiB: one of the large ones. */
  readonly large: Blob;
  /** Seven layers of 450 MB together, to be pulled cold. */
  readonly cold: Image;
}

/** As layers of real images are: one large, some middling, some small. */
const COLD_LAYERS_MB = [200, 100, 60, 40, 25, 15, 10];
/** With `--quick`, which is not to be quoted. */
const QUICK_DIVISOR = 8;

/** Writes two images into a folder of registry:2's layout, the same bytes at every run. */
export async function writeFixtures(root: string, quick: boolean): Promise<Fixtures> {
  const divisor = quick ? QUICK_DIVISOR : 1;
  const hot = await writeImage(root, "library/hot", [MIB, (256 * MIB) / divisor]);
  const cold = await writeImage(
    root,
    "library/cold",
    COLD_LAYERS_MB.map((size) => (size * MB) / divisor),
  );
  const [small, large] = hot.layers;
  if (small === undefined || large === undefined) throw new Error("the hot image has no layers");
  return { hot, small, large, cold };
}

async function writeImage(root: string, repository: string, sizes: readonly number[]): Promise<Image> {
  const layers: Blob[] = [];
  for (const [index, size] of sizes.entries()) {
    layers.push(await writeBlob(root, repository, seededBytes(size, `${repository} ${index}`)));
  }
  const rootfs = { type: "layers", diff_ids: layers.map(({ digest }) => digest) };
  const config = await writeBlob(
    root,
    repository,
    jsonBytes({ architecture: "amd64", os: "linux", config: {}, rootfs }),
  );
  const manifestBytes = jsonBytes({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: CONFIG_TYPE, ...config },
    layers: layers.map((layer) => ({ mediaType: LAYER_TYPE, ...layer })),
  });
  const manifest = await writeManifest(root, repository, "1", manifestBytes);
  return { repository, tag: "1", manifest, config, layers };
}

function jsonBytes(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value, undefined, 2));
}

async function writeBlob(root: string, repository: string, bytes: Buffer): Promise<Blob> {
  const digest = await writeData(root, bytes);
  await writeLink(root, repository, `_layers/${digest.replace(":", "/")}/link`, digest);
  return { digest, size: bytes.length };
}

async function writeManifest(root: string, repository: string, tag: string, bytes: Buffer): Promise<Blob> {
  const digest = await writeData(root, bytes);
  const hash = digest.replace(":", "/");
  await writeLink(root, repository, `_manifests/revisions/${hash}/link`, digest);
  await writeLink(root, repository, `_manifests/tags/${tag}/current/link`, digest);
  await writeLink(root, repository, `_manifests/tags/${tag}/index/${hash}/link`, digest);
  return { digest, size: bytes.length };
}

async function writeData(root: string, bytes: Buffer): Promise<string> {
  const digest = sha256(bytes);
  await writeDeep(blobFile(root, digest), bytes);
  return digest;
}

/** Where registry:2, and our store below its data folder, keep a blob. */
export function blobFile(root: string, digest: string): string {
  const hex = digest.replace("sha256:", "");
  return path.join(root, "docker/registry/v2/blobs/sha256", hex.slice(0, 2), hex, "data");
}

async function writeLink(root: string, repository: string, below: string, digest: string): Promise<void> {
  await writeDeep(path.join(root, "docker/registry/v2/repositories", repository, below), digest);
}

async function writeDeep(file: string, content: Buffer | string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, content);
}

export function manifestPath(image: Image, reference: string = image.tag): string {
  return `/v2/${image.repository}/manifests/${reference}`;
}

export function blobPath(image: Image, blob: Blob): string {
  return `/v2/${image.repository}/blobs/${blob.digest}`;
}

/** All bytes that a pull of the image takes. */
export function imageBytes({ manifest, config, layers }: Image): number {
  return manifest.size + config.size + layers.reduce((total, { size }) => total + size, 0);
}
