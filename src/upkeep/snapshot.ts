import pLimit from "p-limit";
import type { HeldSnapshot } from "../catalog/catalog.ts";
import { digestAlgorithm, digestOf } from "../oci/digest.ts";
import { MANIFEST_BYTES_MAX, parseManifest } from "../oci/manifest.ts";
import { type Repository, repositoryPath } from "../oci/reference.ts";
import type { Store, StoredLink } from "../store/store.ts";
import type { Findings } from "./reindex-report.ts";

/** Files read at once: enough to keep a disk busy, few enough to leave it to those who pull. */
const READS_AT_ONCE_MAX = 4;

type ReadableStore = Pick<Store, "contents" | "readBlob" | "statBlob">;
type HeldManifestRow = HeldSnapshot["manifests"][number];
type HeldBlobRow = HeldSnapshot["blobs"][number];

/** One repository as the store has it: what is really there, whole and readable; the rest goes to the findings. */
export async function snapshotOf(
  store: ReadableStore,
  repository: Repository,
  findings: Findings,
): Promise<HeldSnapshot> {
  const contents = await store.contents(repository);
  const limit = pLimit(READS_AT_ONCE_MAX);
  const path = repositoryPath(repository);
  for (const name of contents.damaged) findings.problem({ kind: "damaged-link", repository: path, name });
  const manifests = await limit.map(contents.manifests, (link) => manifestOf(store, path, link, findings));
  const blobs = await limit.map(contents.layers, (link) => blobOf(store, path, link, findings));
  const held = manifests.filter((one) => one !== undefined);
  const digests = new Set(held.map(({ digest }) => digest));
  const tags = contents.tags.filter(({ tag, digest }) => {
    if (digests.has(digest)) return true;
    findings.problem({ kind: "tag-without-manifest", repository: path, tag, digest });
    return false;
  });
  const snapshot = { repository, manifests: held, blobs: blobs.filter((one) => one !== undefined), tags };
  findings.add(snapshot);
  return snapshot;
}

async function manifestOf(
  store: ReadableStore,
  repository: string,
  link: StoredLink,
  findings: Findings,
): Promise<HeldManifestRow | undefined> {
  const { digest, fetchedWith, atMs } = link;
  const bytes = await readManifest(store, repository, link, findings);
  if (bytes === undefined) return undefined;
  if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
    findings.problem({ kind: "digest-mismatch", repository, digest });
    return undefined;
  }
  const manifest = parseManifest(bytes);
  if (manifest === undefined) {
    findings.problem({ kind: "unreadable-manifest", repository, digest, reason: "no manifest" });
    return undefined;
  }
  return { digest, size: bytes.length, manifest, fetchedWith, atMs };
}

/** A single file that cannot be read is a finding: it must not keep the rest from being found. */
async function readManifest(
  store: ReadableStore,
  repository: string,
  { digest }: StoredLink,
  findings: Findings,
): Promise<Uint8Array | undefined> {
  try {
    const bytes = await store.readBlob(digest, MANIFEST_BYTES_MAX);
    if (bytes === undefined) findings.problem({ kind: "missing-blob", repository, digest });
    return bytes;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    findings.problem({ kind: "unreadable-manifest", repository, digest, reason });
    return undefined;
  }
}

async function blobOf(
  store: ReadableStore,
  repository: string,
  { digest, fetchedWith, atMs }: StoredLink,
  findings: Findings,
): Promise<HeldBlobRow | undefined> {
  const size = await store.statBlob(digest);
  if (size !== undefined) return { digest, size, fetchedWith, atMs };
  findings.problem({ kind: "missing-blob", repository, digest });
  return undefined;
}
