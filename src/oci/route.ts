import { type Digest, parseDigest } from "./digest.ts";
import { RegistryError } from "./errors.ts";
import { type Reference, parseReference } from "./reference.ts";

/**
 * What a URL below `/v2/` asks for, before it is known of which registry. `prefix` is the path before `/v2` and `name` the
 * name as it stands in the URL; either may say the registry (reference: the URL shapes that clients produce).
 */
export interface ApiPath {
  readonly prefix: string | undefined;
  /** Empty for the ping and the catalog of the whole registry. */
  readonly name: readonly string[];
  readonly endpoint: Endpoint;
}

export type Endpoint =
  | { readonly kind: "ping" }
  | { readonly kind: "catalog" }
  | { readonly kind: "manifest"; readonly reference: Reference }
  | { readonly kind: "blob"; readonly digest: Digest }
  | { readonly kind: "tags" }
  | { readonly kind: "referrers"; readonly digest: Digest }
  | { readonly kind: "upload" };

/** More path segments than any name of at most 255 characters can have. */
const SEGMENTS_MAX = 140;

/** Undefined for a path that is not of the registry API. Rejects malformed references as the specification wants it. */
export function parseApiPath(path: string): ApiPath | undefined {
  const raw = path.split("/").slice(1);
  const at = raw[0] === "v2" ? 0 : raw[1] === "v2" ? 1 : undefined;
  if (at === undefined) return undefined;
  if (raw.length > SEGMENTS_MAX) throw new RegistryError(400, "NAME_INVALID", "the path has too many segments");
  const segments = raw.map(decodeSegment);
  const prefix = at === 1 ? segments[0] : undefined;
  return { prefix, ...parseRest(segments.slice(at + 1)) };
}

/**
 * Segments are decoded after splitting, once: a second layer of encoding stays an odd character. An encoded slash is
 * refused, since names are joined again: `quay.io%2Fx` must not become the repository `quay.io/x` of another registry.
 */
function decodeSegment(segment: string): string {
  const decoded = decodedOnce(segment);
  if (decoded.includes("/")) throw new RegistryError(400, "NAME_INVALID", "the path has an encoded slash");
  return decoded;
}

function decodedOnce(segment: string): string {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw new RegistryError(400, "NAME_INVALID", "the path has a malformed percent encoding", { cause });
  }
}

function parseRest(rest: readonly string[]): { name: readonly string[]; endpoint: Endpoint } {
  const trimmed = rest.at(-1) === "" ? rest.slice(0, -1) : rest;
  if (trimmed.length <= 1 && trimmed[0] !== "_catalog") return { name: trimmed, endpoint: { kind: "ping" } };
  if (trimmed.at(-1) === "_catalog") return { name: trimmed.slice(0, -1), endpoint: { kind: "catalog" } };
  return parseNamed(rest, trimmed);
}

/** Read from the end, since `manifests`, `blobs` and `tags` are valid components of names too. */
function parseNamed(
  rest: readonly string[],
  trimmed: readonly string[],
): { name: readonly string[]; endpoint: Endpoint } {
  const [verb, last] = [rest.at(-2), rest.at(-1)];
  const name = rest.slice(0, -2);
  if (last !== undefined && last !== "") {
    if (verb === "manifests") return { name, endpoint: { kind: "manifest", reference: reference(last) } };
    if (verb === "tags" && last === "list") return { name, endpoint: { kind: "tags" } };
    if (verb === "referrers") return { name, endpoint: { kind: "referrers", digest: digest(last) } };
    if (verb === "blobs" && last !== "uploads") return { name, endpoint: { kind: "blob", digest: digest(last) } };
  }
  const upload = trimmed.lastIndexOf("uploads");
  if (upload >= trimmed.length - 2 && upload > 1 && trimmed[upload - 1] === "blobs") {
    return { name: trimmed.slice(0, upload - 1), endpoint: { kind: "upload" } };
  }
  throw new RegistryError(404, "NAME_UNKNOWN", "no such endpoint of the registry API");
}

function reference(text: string): Reference {
  const parsed = parseReference(text);
  if (parsed === "bad-digest") throw new RegistryError(400, "DIGEST_INVALID", "the digest is malformed");
  // The conformance suite asks for the tag `.INVALID_MANIFEST_NAME` and wants 404.
  if (parsed === "bad-tag") throw new RegistryError(404, "MANIFEST_UNKNOWN", "no manifest can have such a tag");
  return parsed;
}

function digest(text: string): Digest {
  const parsed = parseDigest(text);
  if (parsed === undefined) throw new RegistryError(400, "DIGEST_INVALID", "the digest is malformed");
  return parsed;
}
