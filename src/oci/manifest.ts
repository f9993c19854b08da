import { type Digest, parseDigest } from "./digest.ts";
import * as types from "./media-types.ts";

/** A reference to other content, with what the clients need of it (image-spec, descriptor.md). */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly artifactType?: string;
  readonly platform?: string;
}

/** What we read out of a manifest; the bytes themselves are never changed. */
export interface Manifest {
  readonly mediaType: string;
  /** Children of an index; empty for an image manifest. */
  readonly manifests: readonly Descriptor[];
  /** Config and layers of an image manifest; empty for an index. */
  readonly blobs: readonly Descriptor[];
  readonly subject?: Digest;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/**
 * Manifests above this are refused, from an upstream and in the store. Clients take about 4.39 MB (containerd's
 * limit), the specification asks registries for at least 4 MB.
 */
export const MANIFEST_BYTES_MAX = 8 * 1024 * 1024;

type Json = Record<string, unknown>;

/**
 * Reads a manifest, or returns undefined for what is none: not JSON, an HTML page sent with 200, an empty object.
 * The type in the body wins over `contentType`, since it alone comes back when the catalog is rebuilt from the store.
 */
export function parseManifest(bytes: Uint8Array, contentType?: string): Manifest | undefined {
  const body = parseObject(bytes);
  if (body === undefined) return undefined;
  const mediaType = mediaTypeOf(body, contentType);
  if (mediaType === undefined) return undefined;
  return {
    mediaType,
    manifests: descriptors(body["manifests"]),
    blobs: [...descriptors([body["config"]]), ...descriptors(body["layers"]), ...schema1Layers(body)],
    ...optional("subject", descriptor(body["subject"])?.digest),
    ...optional("artifactType", artifactTypeOf(body)),
    ...optional("annotations", stringMap(body["annotations"])),
  };
}

function mediaTypeOf(body: Json, contentType: string | undefined): string | undefined {
  if (Array.isArray(body["fsLayers"])) return "signatures" in body ? types.DOCKER_SCHEMA1_SIGNED : types.DOCKER_SCHEMA1;
  const shape = Array.isArray(body["manifests"])
    ? types.OCI_INDEX
    : isObject(body["config"]) || Array.isArray(body["layers"]) || Array.isArray(body["blobs"])
      ? types.OCI_MANIFEST
      : undefined;
  if (shape === undefined) return undefined;
  if (typeof body["mediaType"] === "string" && body["mediaType"] !== "") return body["mediaType"];
  const sent = contentType === undefined ? "" : types.bareMediaType(contentType);
  return /^application\/vnd\.[\w.+-]+$/.test(sent) ? sent : shape;
}

function parseObject(bytes: Uint8Array): Json | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function descriptors(value: unknown): Descriptor[] {
  if (!Array.isArray(value)) return [];
  return value.map(descriptor).filter((one) => one !== undefined);
}

function descriptor(value: unknown): Descriptor | undefined {
  if (!isObject(value)) return undefined;
  const digest = typeof value["digest"] === "string" ? parseDigest(value["digest"]) : undefined;
  const size = value["size"];
  if (digest === undefined || typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) return undefined;
  const mediaType = typeof value["mediaType"] === "string" ? value["mediaType"] : "";
  return {
    mediaType,
    digest,
    size,
    ...optional("artifactType", text(value["artifactType"])),
    ...optional("platform", platformText(value["platform"])),
  };
}

/** `linux/arm64/v8`, as users write it. */
function platformText(value: unknown): string | undefined {
  if (!isObject(value)) return undefined;
  const parts = [value["os"], value["architecture"], value["variant"]].map(text);
  return parts.filter((part) => part !== undefined).join("/") || undefined;
}

/** Schema 1 names its layers without sizes. */
function schema1Layers(body: Json): Descriptor[] {
  if (!Array.isArray(body["fsLayers"])) return [];
  return body["fsLayers"].flatMap((layer: unknown) => {
    const digest = isObject(layer) && typeof layer["blobSum"] === "string" ? parseDigest(layer["blobSum"]) : undefined;
    return digest === undefined ? [] : [{ mediaType: "", digest, size: UNKNOWN_SIZE }];
  });
}

/** The size in a descriptor that has none. */
export const UNKNOWN_SIZE = -1;

/** image-spec, manifest.md: without an artifactType of its own a manifest has that of its config. */
function artifactTypeOf(body: Json): string | undefined {
  const own = text(body["artifactType"]);
  if (own !== undefined) return own;
  return isObject(body["config"]) ? text(body["config"]["mediaType"]) : undefined;
}

function stringMap(value: unknown): Record<string, string> | undefined {
  if (!isObject(value)) return undefined;
  return Object.fromEntries(Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === "string"));
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
}
