import type { Hash } from "node:crypto";
import type { Digest } from "../oci/digest.ts";
import type { ByteReader, Span } from "./bytes.ts";
import { DirectReader } from "./direct.ts";
import type { Fill } from "./fill.ts";
import type { OpenUpstream } from "./transfer.ts";

/** A reader so far ahead of the fill gets its part from upstream itself instead of waiting. */
export const NEAR_BYTES = 32 * 1024 * 1024;

export interface FillReaderOptions {
  readonly fill: Fill;
  readonly span: Span;
  /** The whole content's bytes. */
  readonly size: number;
  /** For what the fill cannot give: under the reader's own repository, which may be another than the fill's. */
  readonly openUpstream: OpenUpstream;
  readonly signal: AbortSignal;
}

/** Follows a fill at its own pace; waits for bytes without polling. */
export class FillReader implements ByteReader {
  readonly #o: FillReaderOptions;
  #direct: DirectReader | undefined;
  #closed = false;

  constructor(options: FillReaderOptions) {
    this.#o = options;
    options.fill.join();
  }

  async read(buffer: Uint8Array, position: number): Promise<number> {
    const { fill, span } = this.#o;
    const wanted = buffer.subarray(0, Math.max(0, span.end - position));
    if (wanted.length === 0) return 0;
    for (;;) {
      if (this.#closed) return 0;
      if (position < fill.visibleBytes) return await this.#readSpool(wanted, position);
      if (this.#direct !== undefined) return await this.#direct.read(wanted);
      switch (fill.state.kind) {
        case "failed":
          throw fill.state.error;
        case "verified":
          return 0;
        case "unkept":
          this.#direct = this.#continueDirectly(position, fill.state.hash);
          break;
        case "filling":
          if (position - fill.writtenBytes > NEAR_BYTES) this.#direct = this.#startDirectly(position);
          else await fill.changed(this.#o.signal);
      }
    }
  }

  /** Also when the fill has caught up with a reader that had been far ahead of it: its own transfer ends. */
  async #readSpool(wanted: Uint8Array, position: number): Promise<number> {
    const { fill } = this.#o;
    if (this.#direct !== undefined) {
      await this.#direct.close();
      this.#direct = undefined;
    }
    return await fill.read(wanted.subarray(0, fill.visibleBytes - position), position);
  }

  /** Everything before `position` was hashed by the fill, so this reader's own end can be verified too. */
  #continueDirectly(position: number, hash: Hash): DirectReader {
    const { fill, span, size } = this.#o;
    const isVerifiable = position === fill.writtenBytes && span.end === size;
    return this.#startDirectly(position, isVerifiable ? { digest: fill.digest, hash } : undefined);
  }

  #startDirectly(position: number, verify?: { digest: Digest; hash: Hash }): DirectReader {
    const { openUpstream, span, size, signal } = this.#o;
    return new DirectReader({
      open: openUpstream,
      span: { start: position, end: span.end },
      size,
      signal,
      ...(verify === undefined ? {} : { verify }),
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#direct?.close();
    await this.#o.fill.leave();
  }
}
