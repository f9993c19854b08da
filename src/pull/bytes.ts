import type { StoredBlob } from "../store/store.ts";

/** Where a response's bytes come from: the store, a fill in progress, or upstream itself. */
export interface ByteReader {
  /** Puts at least one byte at `position` into `buffer`, waiting for it if need be; 0 at the end of what was asked for. */
  read(buffer: Uint8Array, position: number): Promise<number>;
  /** Must be called, also after an error. */
  close(): Promise<void>;
}

/** Bytes from `start` up to `end`, exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Reads a stored blob, not past `end`; the blob stays open for other readers. */
export function storedReader(blob: StoredBlob, end: number): ByteReader {
  return {
    read: async (buffer, position) =>
      position >= end ? 0 : await blob.read(buffer.subarray(0, Math.min(buffer.length, end - position)), position),
    close: async () => undefined,
  };
}
