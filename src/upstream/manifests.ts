import { parseDigest } from "../oci/digest.ts";
import { MANIFEST_BYTES_MAX } from "../oci/manifest.ts";
import { MANIFEST_ACCEPT, bareMediaType } from "../oci/media-types.ts";
import { type Reference, type RepositoryName, referenceText } from "../oci/reference.ts";
import { requireStatus } from "./answers.ts";
import { contentLength, discard, header, readAll } from "./bodies.ts";
import type { Exchange, Question } from "./exchange.ts";
import type { HttpAnswer } from "./request.ts";
import type { ManifestBody, ManifestHead } from "./upstream.ts";

export async function headManifest(
  exchange: Exchange,
  name: RepositoryName,
  reference: Reference,
  signal: AbortSignal,
): Promise<ManifestHead> {
  const answer = await exchange.ask(questionFor(exchange, "HEAD", name, reference), signal);
  // A registry that knows no HEAD says nothing about the manifest; a GET will tell.
  if (answer.status === 405 || answer.status === 501) {
    discard(answer);
    return { digest: undefined, mediaType: undefined, size: undefined };
  }
  await requireStatus(answer, signal, 200);
  discard(answer);
  return { digest: saidDigest(answer), mediaType: saidType(answer), size: contentLength(answer) };
}

export async function getManifest(
  exchange: Exchange,
  name: RepositoryName,
  reference: Reference,
  signal: AbortSignal,
): Promise<ManifestBody> {
  const answer = await exchange.ask(questionFor(exchange, "GET", name, reference), signal);
  await requireStatus(answer, signal, 200);
  const bytes = await readAll(answer, MANIFEST_BYTES_MAX, signal);
  return { bytes, mediaType: saidType(answer), digest: saidDigest(answer) };
}

function questionFor(exchange: Exchange, method: "GET" | "HEAD", name: RepositoryName, reference: Reference): Question {
  const url = exchange.url(`/v2/${name}/manifests/${referenceText(reference)}`);
  return { method, url, repository: name, asked: "manifest", headers: { accept: MANIFEST_ACCEPT } };
}

/** S3 behind registry.k8s.io, and Red Hat's registry, do not say it. */
function saidDigest(answer: HttpAnswer) {
  return parseDigest(header(answer, "docker-content-digest") ?? "");
}

function saidType(answer: HttpAnswer): string | undefined {
  return bareMediaType(header(answer, "content-type") ?? "") || undefined;
}
