import type { Digest } from "../../../src/oci/digest.ts";
import * as types from "../../../src/oci/media-types.ts";
import { seededBytes, sha256, sha512 } from "../bytes.ts";
import type { FakeContent, FakeImage, FakeIndex, ImageOptions, ManifestOptions } from "./types.ts";

export interface HeldManifest {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  readonly body: Record<string, unknown>;
}

interface HeldRepository {
  readonly blobs: Set<Digest>;
  readonly manifests: Map<Digest, HeldManifest>;
  readonly tags: Map<string, Digest>;
}

const LAYER_BYTES_DEFAULT: readonly number[] = [4096, 2048];

/** What the fake registry has: bytes once, whatever the number of repositories that name them. */
export class Content {
  readonly #bytes = new Map<Digest, Uint8Array>();
  readonly #repositories = new Map<string, HeldRepository>();

  has(repository: string): boolean {
    return this.#repositories.has(repository);
  }

  blob(repository: string, digest: string): Uint8Array | undefined {
    const held = this.#repositories.get(repository);
    return held?.blobs.has(digest as Digest) === true ? this.#bytes.get(digest as Digest) : undefined;
  }

  /** Of whatever repository: signed URLs do not name one. */
  bytes(digest: string): Uint8Array | undefined {
    return this.#bytes.get(digest as Digest);
  }

  manifest(repository: string, reference: string): (HeldManifest & { digest: Digest }) | undefined {
    const held = this.#repositories.get(repository);
    const digest = held?.tags.get(reference) ?? (reference as Digest);
    const manifest = held?.manifests.get(digest);
    return manifest === undefined ? undefined : { ...manifest, digest };
  }

  tags(repository: string): string[] {
    return [...(this.#repositories.get(repository)?.tags.keys() ?? [])].toSorted();
  }

  manifests(repository: string): [Digest, HeldManifest][] {
    return [...(this.#repositories.get(repository)?.manifests ?? [])];
  }

  addBlob(repository: string, bytes: Uint8Array, algorithm: "sha256" | "sha512" = "sha256"): Digest {
    const digest = algorithm === "sha256" ? sha256(bytes) : sha512(bytes);
    this.#bytes.set(digest, bytes);
    this.#repository(repository).blobs.add(digest);
    return digest;
  }

  addManifest(repository: string, manifest: object | Uint8Array, options: ManifestOptions = {}): Digest {
    const bytes = manifest instanceof Uint8Array ? manifest : Buffer.from(JSON.stringify(manifest));
    const digest = options.algorithm === "sha512" ? sha512(bytes) : sha256(bytes);
    const body = readBody(bytes);
    const own = typeof body["mediaType"] === "string" ? body["mediaType"] : undefined;
    const mediaType = options.mediaType ?? own ?? types.OCI_MANIFEST;
    this.#repository(repository).manifests.set(digest, { bytes, mediaType, body });
    if (options.tag !== undefined) this.setTag(repository, options.tag, digest);
    return digest;
  }

  setTag(repository: string, tag: string, digest: Digest): void {
    this.#repository(repository).tags.set(tag, digest);
  }

  deleteTag(repository: string, tag: string): void {
    this.#repositories.get(repository)?.tags.delete(tag);
  }

  deleteContent(repository: string, digest: Digest): void {
    const held = this.#repository(repository);
    held.blobs.delete(digest);
    held.manifests.delete(digest);
    for (const [tag, target] of held.tags) if (target === digest) held.tags.delete(tag);
  }

  addImage(repository: string, tag: string | undefined, options: ImageOptions = {}): FakeImage {
    const platform = options.platform ?? "linux/amd64";
    const seed = `${options.seed ?? `${repository}:${tag ?? ""}`}/${platform}`;
    const docker = options.flavour === "docker";
    const layers = (options.layers ?? LAYER_BYTES_DEFAULT).map((size, index) =>
      this.#addContent(repository, seededBytes(size, `${seed}/${index}`)),
    );
    const config = this.#addContent(repository, Buffer.from(JSON.stringify(configOf(platform, seed, layers))));
    const manifest = imageManifest(docker, config, layers);
    const bytes = Buffer.from(JSON.stringify(manifest));
    const digest = this.addManifest(repository, bytes, tag === undefined ? {} : { tag });
    return { repository, mediaType: manifest.mediaType, platform, digest, bytes, size: bytes.length, config, layers };
  }

  addIndex(repository: string, tag: string, platforms: readonly string[], options: ImageOptions = {}): FakeIndex {
    const seed = options.seed ?? `${repository}:${tag}`;
    const images = platforms.map((platform) => this.addImage(repository, undefined, { ...options, seed, platform }));
    const mediaType = options.flavour === "docker" ? types.DOCKER_LIST : types.OCI_INDEX;
    const manifests = images.map((image) => ({
      ...descriptorOf(image.mediaType, image),
      platform: platformOf(image.platform),
    }));
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests }));
    return {
      repository,
      mediaType,
      images,
      bytes,
      size: bytes.length,
      digest: this.addManifest(repository, bytes, { tag }),
    };
  }

  #addContent(repository: string, bytes: Uint8Array): FakeContent {
    return { bytes, size: bytes.length, digest: this.addBlob(repository, bytes) };
  }

  #repository(name: string): HeldRepository {
    const held = this.#repositories.get(name) ?? { blobs: new Set(), manifests: new Map(), tags: new Map() };
    this.#repositories.set(name, held);
    return held;
  }
}

function readBody(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    // Tests also add manifests that are none.
    return {};
  }
}

function platformOf(text: string): Record<string, string> {
  const [os = "linux", architecture = "amd64", variant] = text.split("/");
  return variant === undefined ? { os, architecture } : { os, architecture, variant };
}

function configOf(platform: string, seed: string, layers: readonly FakeContent[]): object {
  const rootfs = { type: "layers", diff_ids: layers.map((layer) => layer.digest) };
  return { ...platformOf(platform), author: seed, config: {}, rootfs };
}

function descriptorOf(mediaType: string, content: FakeContent): { mediaType: string; digest: Digest; size: number } {
  return { mediaType, digest: content.digest, size: content.size };
}

function imageManifest(docker: boolean, config: FakeContent, layers: readonly FakeContent[]) {
  const mediaType = docker ? types.DOCKER_MANIFEST : types.OCI_MANIFEST;
  const configType = docker
    ? "application/vnd.docker.container.image.v1+json"
    : "application/vnd.oci.image.config.v1+json";
  const layerType = docker
    ? "application/vnd.docker.image.rootfs.diff.tar.gzip"
    : "application/vnd.oci.image.layer.v1.tar+gzip";
  return {
    schemaVersion: 2,
    mediaType,
    config: descriptorOf(configType, config),
    layers: layers.map((layer) => descriptorOf(layerType, layer)),
  };
}
