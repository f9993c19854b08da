import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { FakeImage, FakeIndex } from "./fake-upstream/types.ts";
import { sha256 } from "./bytes.ts";

/** Content that lies in a foreign folder under its digest. */
export interface Piece {
  readonly digest: string;
  readonly bytes: Uint8Array;
}

/** An image's manifests and blobs; of an index those of all its images. */
export function piecesOf(image: FakeImage | FakeIndex): { manifests: Piece[]; layers: Piece[] } {
  const images = "images" in image ? image.images : [image];
  return {
    manifests: "images" in image ? [image, ...images] : [image],
    layers: images.flatMap(({ config, layers }) => [config, ...layers]),
  };
}

/** Where a file of a volume lies, by `registry:2`'s layout. */
export function inVolume(volume: string, ...parts: readonly string[]): string {
  return join(volume, "docker/registry/v2", ...parts);
}

export function blobFile(volume: string, digest: string): string {
  const [algorithm = "", hex = ""] = digest.split(":");
  return inVolume(volume, "blobs", algorithm, hex.slice(0, 2), hex, "data");
}

export function linkFolder(volume: string, repository: string, kind: "manifest" | "layer", digest: string): string {
  const below = kind === "layer" ? "_layers" : "_manifests/revisions";
  return inVolume(volume, "repositories", repository, below, digest.replace(":", "/"));
}

/** Writes an image as `registry:2` does, without any code of the cache. */
export async function addToVolume(
  volume: string,
  repository: string,
  tag: string | undefined,
  image: FakeImage | FakeIndex,
): Promise<void> {
  const { manifests, layers } = piecesOf(image);
  for (const [kind, pieces] of [
    ["manifest", manifests],
    ["layer", layers],
  ] as const) {
    for (const { digest, bytes } of pieces) {
      await put(blobFile(volume, digest), bytes);
      await put(join(linkFolder(volume, repository, kind, digest), "link"), digest);
    }
  }
  if (tag === undefined) return;
  const tags = inVolume(volume, "repositories", repository, "_manifests/tags", tag);
  await put(join(tags, "current/link"), image.digest);
  await put(join(tags, "index", image.digest.replace(":", "/"), "link"), image.digest);
}

/** Writes an OCI layout; `annotations` are those of its images in `index.json`. */
export async function writeLayout(
  folder: string,
  images: readonly { image: FakeImage | FakeIndex; annotations?: Record<string, string> }[],
): Promise<void> {
  for (const [name, bytes] of Object.entries(layoutFiles(images))) await put(join(folder, name), bytes);
}

/** The files of an OCI layout by their names. */
export function layoutFiles(
  images: readonly { image: FakeImage | FakeIndex; annotations?: Record<string, string> }[],
): Record<string, Uint8Array> {
  const blobs = images.flatMap(({ image }) => {
    const { manifests, layers } = piecesOf(image);
    return [...manifests, ...layers].map(({ digest, bytes }) => [`blobs/${digest.replace(":", "/")}`, bytes] as const);
  });
  const manifests = images.map(({ image: { mediaType, digest, size }, annotations }) => ({
    mediaType,
    digest,
    size,
    annotations,
  }));
  const index = { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests };
  return {
    "oci-layout": Buffer.from('{"imageLayoutVersion":"1.0.0"}'),
    "index.json": Buffer.from(JSON.stringify(index)),
    ...Object.fromEntries(blobs),
  };
}

/** A tar's entry as it stands there, with the header that old and new programs read. */
export function tarEntry(name: string, bytes: Uint8Array = Buffer.alloc(0), type = "0"): Buffer {
  const header = Buffer.alloc(512);
  header.write(name.slice(0, 100), 0, "utf8");
  header.write("0000644\0", 100);
  header.write(`${bytes.length.toString(8).padStart(11, "0")}\0`, 124);
  header.write("        ", 148);
  header.write(type, 156);
  header.write("ustar\u000000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return Buffer.concat([header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

export function tarOf(files: Readonly<Record<string, Uint8Array>>): Buffer {
  const entries = Object.entries(files).map(([name, bytes]) => tarEntry(name, bytes));
  return Buffer.concat([...entries, Buffer.alloc(1024)]);
}

export async function put(path: string, bytes: Uint8Array | string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
}

/** Names and digests of all files below a folder: it is the same before and after. */
export async function fingerprint(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const hashed = files
    .toSorted()
    .map(async (file) => [file.slice(folder.length), sha256(await readFile(file))] as const);
  return Object.fromEntries(await Promise.all(hashed));
}
