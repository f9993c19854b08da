/**
 * The end of a content that nobody sees before its digest is verified, in bytes; all of a smaller one. Whether it comes from
 * upstream or from a disk that may have rotted: a wrong one never completes.
 */
export const HELD_BACK_BYTES = 64 * 1024;

/** Bytes that are lent. Exactly one of the two is called when they are needed no more. */
export interface Piece {
  readonly bytes: Uint8Array;
  /** Nobody looks at them any more: their memory may be filled with others. */
  release(): void;
  /** A socket that was given up may still hold them: their memory is left to the garbage collector. */
  abandon(): void;
}

/** Where a response's bytes come from: the store, a fill in progress, or upstream itself. */
export interface ByteReader {
  /** At least one byte from `position` on, waiting for it if need be; undefined at the end of what was asked for. */
  next(position: number): Promise<Piece | undefined>;
  /** Must be called, also after an error. */
  close(): Promise<void>;
}

/** Bytes from `start` up to `end`, exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Bytes that are nobody's buffer: there is nothing to give back. */
export function ownPiece(bytes: Uint8Array): Piece {
  return { bytes, release: nothing, abandon: nothing };
}

function nothing(): void {}
