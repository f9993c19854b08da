import type { Hash } from "node:crypto";
import type { Digest } from "../oci/digest.ts";
import type { ByteReader, Piece, Span } from "./bytes.ts";
import { DirectReader } from "./direct.ts";
import type { Fill } from "./fill.ts";
import { UpstreamError } from "../upstream/upstream.ts";
import type { OpenUpstream } from "./transfer.ts";

/** A reader so far ahead of the fill gets its part from upstream itself instead of waiting. */
export const NEAR_BYTES = 32 * 1024 * 1024;
/** How long such a transfer waits for a reader who takes nothing of it; he gets another when he goes on. */
export const PART_IDLE_MS = 15_000;

export interface FillReaderOptions {
  readonly fill: Fill;
  readonly span: Span;
  /** The whole content's bytes. */
  readonly size: number;
  /** For what the fill cannot give: under the reader's own repository, which may be another than the fill's. */
  readonly openUpstream: OpenUpstream;
  /** The same for parts far ahead of the fill; may be `overloaded`. */
  readonly openPart: OpenUpstream;
  readonly signal: AbortSignal;
}

/** Follows a fill at its own pace, for somebody who has joined it; waits for bytes without polling. */
export class FillReader implements ByteReader {
  readonly #o: FillReaderOptions;
  #direct: DirectReader | undefined;
  /** The direct transfer is of a part, and can begin anew anywhere. */
  #isPart = false;
  /** There was no place for a part of its own. */
  #mustWait = false;
  #parking: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: FillReaderOptions) {
    this.#o = options;
    options.fill.hold();
  }

  async next(position: number): Promise<Piece | undefined> {
    clearTimeout(this.#parking);
    const piece = await this.#next(position);
    if (this.#isPart && !this.#closed) this.#parking = setTimeout(() => void this.#endDirect(), PART_IDLE_MS).unref();
    return piece;
  }

  async #next(position: number): Promise<Piece | undefined> {
    const { fill, span } = this.#o;
    for (;;) {
      if (this.#closed || position >= span.end) return undefined;
      if (position < fill.visibleBytes) return await this.#fromSpool(position);
      if (this.#direct !== undefined) {
        const piece = await this.#fromDirect(this.#direct);
        if (piece !== undefined) return this.#told(piece, position);
      }
      switch (fill.state.kind) {
        case "failed":
          throw fill.state.error;
        case "verified":
          return undefined;
        case "unkept":
          this.#direct = this.#continueDirectly(position, fill.state.hash);
          break;
        case "filling":
          if (!this.#mustWait && position - fill.writtenBytes > NEAR_BYTES) this.#startPart(position);
          else await fill.changed(this.#o.signal);
      }
    }
  }

  /** Also when the fill has caught up with a reader that had been far ahead of it: its own transfer ends. */
  async #fromSpool(position: number): Promise<Piece> {
    const { fill, span } = this.#o;
    if (this.#direct !== undefined) await this.#endDirect();
    return await fill.piece(position, span.end);
  }

  /** Undefined where there is no place for a part of its own, so that the reader waits for the fill. */
  async #fromDirect(direct: DirectReader): Promise<Piece | undefined> {
    try {
      return await direct.next();
    } catch (error) {
      if (!this.#isPart || !(error instanceof UpstreamError) || error.kind !== "overloaded") throw error;
      this.#mustWait = true;
      await this.#endDirect();
      return undefined;
    }
  }

  #told(piece: Piece, position: number): Piece {
    const { fill } = this.#o;
    if (fill.state.kind === "unkept") fill.streamed.add(piece.bytes.length, position + piece.bytes.length);
    return piece;
  }

  async #endDirect(): Promise<void> {
    const direct = this.#direct;
    this.#direct = undefined;
    this.#isPart = false;
    await direct?.close();
  }

  #startPart(position: number): void {
    this.#direct = this.#startDirectly(position, this.#o.openPart);
    this.#isPart = true;
  }

  /** Everything before `position` was hashed by the fill, so this reader's own end can be verified too. */
  #continueDirectly(position: number, hash: Hash): DirectReader {
    const { fill, span, size } = this.#o;
    const isVerifiable = position === fill.writtenBytes && span.end === size;
    return this.#startDirectly(
      position,
      this.#o.openUpstream,
      isVerifiable ? { digest: fill.digest, hash } : undefined,
    );
  }

  #startDirectly(position: number, open: OpenUpstream, verify?: { digest: Digest; hash: Hash }): DirectReader {
    const { span, size, signal } = this.#o;
    return new DirectReader({
      open,
      span: { start: position, end: span.end },
      size,
      signal,
      ...(verify === undefined ? {} : { verify }),
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#parking);
    await this.#endDirect();
    await this.#o.fill.letGo();
  }
}
