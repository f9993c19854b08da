import type { Hash } from "node:crypto";
import { type Digest, digestAlgorithm, finishDigest } from "../oci/digest.ts";
import { UpstreamError } from "../upstream/upstream.ts";
import { type ByteReader, HELD_BACK_BYTES, ownPiece, type Piece, type Span } from "./bytes.ts";
import { type OpenUpstream, transfer } from "./transfer.ts";

export interface DirectOptions {
  readonly open: OpenUpstream;
  readonly span: Span;
  /** The whole content's bytes. */
  readonly size: number;
  /**
   * The hash of all bytes before the span, where they are known and the span reaches the end: the last bytes are then
   * withheld until the digest is right. A part alone cannot be verified; its reader does that with the whole.
   */
  readonly verify?: { readonly digest: Digest; readonly hash: Hash };
  readonly signal: AbortSignal;
}

/**
 * One response's own transfer from upstream, not kept: for a part far ahead of the fill, and for all that comes after the
 * disk has become full. Positions must follow each other.
 */
export class DirectReader implements ByteReader {
  readonly #stop = new AbortController();
  readonly #pieces: AsyncGenerator<Uint8Array, void, void>;

  constructor(options: DirectOptions) {
    const pieces = transfer({
      open: options.open,
      from: options.span.start,
      end: options.span.end,
      size: options.size,
      signal: AbortSignal.any([options.signal, this.#stop.signal]),
    });
    this.#pieces =
      options.verify === undefined ? pieces : withheldTail(pieces, options.size - options.span.start, options.verify);
  }

  async next(): Promise<Piece | undefined> {
    const next = await this.#pieces.next();
    return next.done === true ? undefined : ownPiece(next.value);
  }

  async close(): Promise<void> {
    this.#stop.abort(new UpstreamError("aborted", "the client is gone"));
    await this.#pieces.return();
  }
}

/** Lets pieces through except for the last HELD_BACK_BYTES, which come when the digest has proved right. */
async function* withheldTail(
  pieces: AsyncIterable<Uint8Array>,
  totalBytes: number,
  verify: { readonly digest: Digest; readonly hash: Hash },
): AsyncGenerator<Uint8Array, void, void> {
  const hash = verify.hash.copy();
  const withheld: Uint8Array[] = [];
  let freeBytes = Math.max(0, totalBytes - HELD_BACK_BYTES);
  for await (const piece of pieces) {
    hash.update(piece);
    const free = piece.subarray(0, freeBytes);
    freeBytes -= free.length;
    if (free.length > 0) yield free;
    if (free.length < piece.length) withheld.push(piece.subarray(free.length));
  }
  const actual = finishDigest(digestAlgorithm(verify.digest), hash);
  if (actual !== verify.digest) {
    throw new UpstreamError("protocol", `sent content of digest ${actual}, not ${verify.digest}`);
  }
  yield* withheld;
}
