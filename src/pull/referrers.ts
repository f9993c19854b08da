import pLimit from "p-limit";
import { type Digest, digestAlgorithm, digestHex, digestOf } from "../oci/digest.ts";
import { type Descriptor, type Manifest, parseManifest } from "../oci/manifest.ts";
import { isIndexType, OCI_INDEX } from "../oci/media-types.ts";
import { parseTag, type Repository, type RepositoryName } from "../oci/reference.ts";
import { type Upstream, UpstreamError } from "../upstream/upstream.ts";
import type { Outcome } from "./outcome.ts";
import type { SavedLists } from "./saved-lists.ts";

/** Entries of a fallback index that are looked at; each costs a question to upstream, once. */
const FALLBACK_ENTRIES_MAX = 64;
const FALLBACK_QUESTIONS_AT_ONCE = 4;

export interface ReferrersAnswer {
  /** An OCI index, as JSON text. */
  readonly index: string;
  readonly isFiltered: boolean;
  readonly outcome: Outcome;
}

/** What refers to a manifest (signatures, SBOMs), by upstream's referrers API or, without one, by its fallback tag. */
export async function listReferrers(
  lists: SavedLists,
  repository: Repository,
  subject: Digest,
  artifactType: string | undefined,
): Promise<ReferrersAnswer> {
  const { body, outcome } = await lists.get(repository, "referrers", subject, async ({ upstream }, signal) => {
    const native = await upstream.getReferrers(repository.name, subject, signal);
    const entries =
      native === undefined ? await fromFallbackTag(upstream, repository.name, subject, signal) : entriesOf(native);
    return JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries });
  });
  return { index: filtered(body, artifactType), isFiltered: artifactType !== undefined, outcome };
}

/** An entry exactly as the upstream's index has it. */
type Entry = Record<string, unknown>;

function filtered(index: string, artifactType: string | undefined): string {
  if (artifactType === undefined) return index;
  const parsed = JSON.parse(index) as { manifests: Entry[] };
  return JSON.stringify({
    ...parsed,
    manifests: parsed.manifests.filter((one) => one["artifactType"] === artifactType),
  });
}

function entriesOf(index: Uint8Array): Entry[] {
  if (parseManifest(index) === undefined) throw new UpstreamError("protocol", "sent referrers that are not an index");
  const { manifests } = JSON.parse(new TextDecoder().decode(index)) as { manifests?: unknown };
  // An empty list of Go's is sometimes sent as null.
  if (manifests === null) return [];
  if (!Array.isArray(manifests)) throw new UpstreamError("protocol", "sent referrers that are not an index");
  return manifests.filter((one): one is Entry => typeof one === "object" && one !== null);
}

/**
 * distribution-spec, "Referrers Tag Schema". registry.gitlab.com resolves that tag to the subject itself, and anybody may
 * push any index under it, so only entries whose own manifest names the subject count.
 */
async function fromFallbackTag(
  upstream: Upstream,
  name: RepositoryName,
  subject: Digest,
  signal: AbortSignal,
): Promise<Entry[]> {
  const index = await fallbackIndex(upstream, name, subject, signal);
  if (index === undefined) return [];
  const limit = pLimit(FALLBACK_QUESTIONS_AT_ONCE);
  const candidates = index.slice(0, FALLBACK_ENTRIES_MAX);
  const checked = candidates.map((entry) =>
    limit(async () => withManifest(entry, await referringManifest(upstream, name, entry, subject, signal))),
  );
  return (await Promise.all(checked)).filter((entry) => entry !== undefined);
}

async function fallbackIndex(
  upstream: Upstream,
  name: RepositoryName,
  subject: Digest,
  signal: AbortSignal,
): Promise<Entry[] | undefined> {
  const tag = parseTag(`${digestAlgorithm(subject)}-${digestHex(subject)}`.slice(0, 128));
  if (tag === undefined) return undefined;
  try {
    const { bytes, mediaType } = await upstream.getManifest(name, { kind: "tag", tag }, signal);
    const index = parseManifest(bytes, mediaType);
    const isSubject = digestOf(bytes, digestAlgorithm(subject)) === subject;
    return index === undefined || isSubject || !isIndexType(index.mediaType) ? undefined : entriesOf(bytes);
  } catch (error) {
    if (error instanceof UpstreamError && error.kind === "not-found") return undefined;
    throw error;
  }
}

async function referringManifest(
  upstream: Upstream,
  name: RepositoryName,
  entry: Entry,
  subject: Digest,
  signal: AbortSignal,
): Promise<Manifest | undefined> {
  const digest = descriptorOf(entry)?.digest;
  if (digest === undefined) return undefined;
  try {
    const { bytes, mediaType } = await upstream.getManifest(name, { kind: "digest", digest }, signal);
    const manifest = digestOf(bytes, digestAlgorithm(digest)) === digest ? parseManifest(bytes, mediaType) : undefined;
    return manifest?.subject === subject ? manifest : undefined;
  } catch (error) {
    if (error instanceof UpstreamError && error.kind === "not-found") return undefined;
    throw error;
  }
}

/** Fallback indexes may lack what the API's answer must have: the artifact type and the annotations of the manifest. */
function withManifest(entry: Entry, manifest: Manifest | undefined): Entry | undefined {
  if (manifest === undefined) return undefined;
  const artifactType = entry["artifactType"] ?? manifest.artifactType;
  const annotations = entry["annotations"] ?? manifest.annotations;
  return {
    ...entry,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

function descriptorOf(entry: Entry): Descriptor | undefined {
  const wrapped = new TextEncoder().encode(JSON.stringify({ manifests: [entry] }));
  return parseManifest(wrapped)?.manifests[0];
}
