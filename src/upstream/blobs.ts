import type { Digest } from "../oci/digest.ts";
import { parseContentRange } from "../oci/range.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { type Answer, failureOf, protocolError, requireContent, requireStatus } from "./answers.ts";
import type { Bandwidth } from "./bandwidth.ts";
import { TransferBody, cancel, contentLength, discard, header } from "./bodies.ts";
import type { Exchange, Question } from "./exchange.ts";
import type { BlobBody, ByteRange } from "./upstream.ts";

/** What a range request for an empty blob gets with 416 (RFC 9110, section 14.4). */
const UNSATISFIED_RANGE = /^bytes \*\/(\d{1,15})$/;

export async function openBlob(
  exchange: Exchange,
  name: RepositoryName,
  digest: Digest,
  range: ByteRange | undefined,
  signal: AbortSignal,
  bandwidth?: Bandwidth,
): Promise<BlobBody> {
  const headers = range === undefined ? {} : { range: `bytes=${range.start}-${range.end ?? ""}` };
  const answer = await exchange.ask(questionFor(exchange, "GET", name, digest, headers), signal);
  await requireStatus(answer, signal, 200, ...(range === undefined ? [] : [206]));
  if (answer.status === 206) return partOf(answer, signal, bandwidth);
  // 200 to a range request, too: an upstream without ranges begins at the beginning (codeberg.org may).
  const size = contentLength(answer);
  return bodyFrom({ start: 0, size }, new TransferBody(answer, size, signal, bandwidth));
}

function partOf(answer: Answer, signal: AbortSignal, bandwidth: Bandwidth | undefined): BlobBody {
  const range = parseContentRange(header(answer, "content-range"));
  const length = contentLength(answer);
  const bytes = range === undefined ? undefined : range.end - range.start + 1;
  if (range === undefined || bytes === undefined || (length !== undefined && length !== bytes)) {
    cancel(answer);
    throw protocolError(answer, "a part without a proper Content-Range");
  }
  const { start, size } = range;
  return bodyFrom({ start, size }, new TransferBody(answer, bytes, signal, bandwidth));
}

function bodyFrom(at: Pick<BlobBody, "start" | "size">, body: TransferBody): BlobBody {
  return { ...at, body, wasHeldBack: () => body.wasHeldBack() };
}

/** Which way of asking for a blob's presence works at this upstream, learnt as we go. */
export interface ProbeHabits {
  headIsUseless: boolean;
}

/**
 * HEAD first; where that fails in one of the ways in which only HEAD fails, one byte's GET. Public ECR answers every blob
 * HEAD with 401, signed stores are bound to GET (ghcr.io), others leave out the length. 404 counts from the registry only.
 */
export async function probeBlob(
  exchange: Exchange,
  habits: ProbeHabits,
  name: RepositoryName,
  digest: Digest,
  signal: AbortSignal,
): Promise<{ size: number | undefined }> {
  let refused = false;
  if (!habits.headIsUseless) {
    const answer = await exchange.ask(questionFor(exchange, "HEAD", name, digest), signal);
    refused = isHeadsOwnFailure(answer);
    if (!refused) await requireStatus(answer, signal, 200);
    discard(answer);
    const size = refused ? undefined : contentLength(answer);
    if (size !== undefined) return { size };
  }
  const found = await probeByGet(exchange, name, digest, signal);
  // The GET went through where HEAD did not, so the next HEAD is saved.
  if (refused) habits.headIsUseless = true;
  return found;
}

function isHeadsOwnFailure({ status, fromRegistry }: Answer): boolean {
  return status === 401 || status === 403 || status === 405 || status >= 500 || (status === 404 && !fromRegistry);
}

async function probeByGet(
  exchange: Exchange,
  name: RepositoryName,
  digest: Digest,
  signal: AbortSignal,
): Promise<{ size: number | undefined }> {
  const answer = await exchange.ask(questionFor(exchange, "GET", name, digest, { range: "bytes=0-0" }), signal);
  const range = header(answer, "content-range");
  if (answer.status === 206) {
    requireContent(answer);
    discard(answer);
    return { size: parseContentRange(range)?.size };
  }
  const emptySize = UNSATISFIED_RANGE.exec(range ?? "")?.[1];
  if (answer.status === 416 && emptySize !== undefined) {
    discard(answer);
    return { size: Number(emptySize) };
  }
  if (answer.status !== 200) throw await failureOf(answer, signal);
  requireContent(answer);
  // The whole blob is on its way: not a byte of it is wanted.
  cancel(answer);
  return { size: contentLength(answer) };
}

function questionFor(
  exchange: Exchange,
  method: "GET" | "HEAD",
  name: RepositoryName,
  digest: Digest,
  headers: Readonly<Record<string, string>> = {},
): Question {
  const url = exchange.url(`/v2/${name}/blobs/${digest}`);
  return { method, url, repository: name, asked: "blob", headers: { accept: "*/*", ...headers } };
}
