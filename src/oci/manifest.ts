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
  /** Config and layers of an image manifest, blobs of an artifact manifest; empty for an index. */
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

/**
 * Objects, lists and their members. A manifest of the size limit has some 100,000; parsing millions would hold everybody up
 * for a second.
 */
const JSON_PARTS_MAX = 200_000;

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
    // `blobs` is what the artifact manifests of image-spec 1.1's release candidates and of ORAS have for layers.
    blobs: [[body["config"]], body["layers"], body["blobs"]].flatMap(descriptors).concat(schema1Layers(body)),
    ...optional("subject", descriptor(body["subject"])?.digest),
    ...optional("artifactType", artifactTypeOf(body)),
    ...optional("annotations", stringMap(body["annotations"])),
  };
}

type Shape = "index" | "image" | "schema1";

const SHAPE_OF_TYPE: ReadonlyMap<string, Shape> = new Map([
  [types.OCI_INDEX, "index"],
  [types.DOCKER_LIST, "index"],
  [types.OCI_MANIFEST, "image"],
  [types.DOCKER_MANIFEST, "image"],
  [types.DOCKER_SCHEMA1, "schema1"],
  [types.DOCKER_SCHEMA1_SIGNED, "schema1"],
]);

function mediaTypeOf(body: Json, contentType: string | undefined): string | undefined {
  const stated = text(body["mediaType"]);
  // It becomes the Content-Type of our answers: what is no media type must not get that far.
  const own = stated !== undefined && types.isMediaType(stated) ? stated : undefined;
  const shape = shapeOf(body, own);
  if (shape === undefined || (own !== undefined && !fits(own, shape))) return undefined;
  if (shape === "schema1") return "signatures" in body ? types.DOCKER_SCHEMA1_SIGNED : types.DOCKER_SCHEMA1;
  const sent = types.bareMediaType(contentType ?? "");
  const isUsable = sent.startsWith("application/vnd.") && types.isMediaType(sent) && fits(sent, shape);
  return own ?? (isUsable ? sent : shape === "index" ? types.OCI_INDEX : types.OCI_MANIFEST);
}

/** Undefined also for a body that can be read in two ways: clients would not agree on what it is (CVE-2021-41190). */
function shapeOf(body: Json, own: string | undefined): Shape | undefined {
  const isImage = isObject(body["config"]) || Array.isArray(body["layers"]) || Array.isArray(body["blobs"]);
  const found: Shape[] = [];
  if (Array.isArray(body["manifests"])) found.push("index");
  if (isImage) found.push("image");
  if (Array.isArray(body["fsLayers"])) found.push("schema1");
  // Go writes an empty list as null.
  if (found.length === 0 && own !== undefined && types.isIndexType(own) && body["manifests"] === null) return "index";
  return found.length === 1 ? found[0] : undefined;
}

/** A type that we know belongs to one shape; another may have any. */
function fits(mediaType: string, shape: Shape): boolean {
  return (SHAPE_OF_TYPE.get(mediaType) ?? shape) === shape;
}

function parseObject(bytes: Uint8Array): Json | undefined {
  if (hasTooManyParts(bytes)) return undefined;
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const PART_BEGINS: ReadonlySet<number> = new Set(Buffer.from("[{,"));

/** Counts what begins parts, also within texts, where real manifests have few of them. */
function hasTooManyParts(bytes: Uint8Array): boolean {
  if (bytes.length <= JSON_PARTS_MAX) return false;
  let parts = 0;
  for (const byte of bytes) if (PART_BEGINS.has(byte)) parts += 1;
  return parts > JSON_PARTS_MAX;
}

/** What is no descriptor, or has a digest that we cannot verify, is left out. */
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
  return Object.fromEntries(
    Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === "string"),
  );
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
