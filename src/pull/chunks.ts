import { LRUCache } from "lru-cache";
import { BufferPool } from "../lib/buffer-pool.ts";
import type { Piece } from "./bytes.ts";

/** One read from disk and one write to a socket; larger ones cost memory per reader, smaller ones system calls. */
export const CHUNK_BYTES = 256 * 1024;
/**
 * Chunks that stay in memory for the next reader of the same content, over all contents: 1 MiB. Those that somebody uses are
 * shared anyway; more would cost the processor's caches more than a crowd that is not together gains.
 */
const KEPT_CHUNKS_MAX = 4;
/** Buffers kept for the next read. */
const SPARE_BUFFERS_MAX = 32;
/** With so many out (32 MiB), many clients are slow: further pieces are small ones, so that memory stays bounded. */
const LENT_BUFFERS_MAX = 128;
/** What a reader gets then, and where so little is wanted that a whole chunk is not worth its reading. */
const SMALL_BYTES = 32 * 1024;
const SPARE_SMALL_BUFFERS_MAX = 256;
/** For so long after it was read, a part of a file is taken to be in the operating system's memory. */
const WARM_MS = 30_000;
/** A read from memory that took longer was none. */
const SLOW_READ_MS = 5;

/** A file that only grows, or does not change. */
export interface PositionalFile {
  /** Fills `buffer` from `position` as far as one read goes; 0 at the end. */
  read(buffer: Uint8Array, position: number): Promise<number>;
  /** The same at once, which stops the whole process until the disk has answered. */
  readNow(buffer: Uint8Array, position: number): number;
}

/**
 * Reads files in chunks that all readers of a file share: a crowd that pulls one image costs one read for each chunk, and
 * each of them may be as slow as it likes. Memory is bounded by the constants above, whatever the number of readers.
 */
export class ChunkCache {
  readonly #pools = {
    whole: new BufferPool(CHUNK_BYTES, SPARE_BUFFERS_MAX),
    small: new BufferPool(SMALL_BYTES, SPARE_SMALL_BUFFERS_MAX),
  };
  readonly #kept = new LRUCache<Chunk, true>({
    max: KEPT_CHUNKS_MAX,
    dispose: (_, chunk) => chunk.forget(),
  });

  /** A file's chunks; `close` when nobody will ask for one any more. */
  open(file: PositionalFile): ChunkedFile {
    return new ChunkedFile(file, this.#pools, this.#kept);
  }
}

interface Pools {
  readonly whole: BufferPool;
  readonly small: BufferPool;
}

/** One file as its readers see it. */
export class ChunkedFile {
  readonly #file: PositionalFile;
  readonly #pools: Pools;
  readonly #kept: LRUCache<Chunk, true>;
  readonly #chunks = new Map<number, Chunk>();
  /** When each chunk was last read, milliseconds of the monotonic clock. */
  readonly #readAtMs = new Map<number, number>();

  constructor(file: PositionalFile, pools: Pools, kept: LRUCache<Chunk, true>) {
    this.#file = file;
    this.#pools = pools;
    this.#kept = kept;
  }

  /** At least one byte from `position` on and none from `end` on; the file has bytes up to `end`. */
  async piece(position: number, end: number): Promise<Piece> {
    const index = Math.floor(position / CHUNK_BYTES);
    const offset = position - index * CHUNK_BYTES;
    const known = this.#chunks.get(index);
    const isWhole = (index + 1) * CHUNK_BYTES <= end;
    if (known === undefined && (!isWhole || this.#isTight())) return await this.#small(index, position, end);
    const chunk = known ?? this.#begin(index);
    // Taken before the wait, so that the buffer is not lent to somebody else meanwhile.
    chunk.take();
    try {
      if (chunk.isPending) await chunk.ready;
      return chunk.piece(offset, Math.min(CHUNK_BYTES, end - index * CHUNK_BYTES));
    } catch (error) {
      chunk.release();
      throw error;
    }
  }

  /** Nobody reads any more. */
  close(): void {
    for (const chunk of this.#chunks.values()) this.#kept.delete(chunk);
  }

  #isTight(): boolean {
    return this.#pools.whole.lent >= LENT_BUFFERS_MAX;
  }

  #begin(index: number): Chunk {
    const chunk = new Chunk(this.#pools.whole, () => this.#chunks.delete(index));
    this.#chunks.set(index, chunk);
    this.#kept.set(chunk, true);
    chunk.ready = this.#fill(chunk, index);
    // Seen by those who wait; the chunk is forgotten, and the next reader tries anew.
    chunk.ready.catch(() => this.#kept.delete(chunk));
    return chunk;
  }

  async #fill(chunk: Chunk, index: number): Promise<void> {
    const isWarm = this.#isWarm(index);
    for (let done = 0; done < CHUNK_BYTES;) {
      const buffer = done === 0 ? chunk.buffer : chunk.buffer.subarray(done);
      const at = index * CHUNK_BYTES + done;
      const count = isWarm ? this.#readWarm(index, buffer, at) : await this.#file.read(buffer, at);
      if (count === 0) throw new Error(`the file ended at ${at}`);
      done += count;
    }
    if (!isWarm) this.#readAtMs.set(index, performance.now());
    chunk.isPending = false;
  }

  /**
   * What was read moments ago is in the operating system's memory, and going through the thread pool for it costs a third of
   * the speed of a core. Should memory have become short meanwhile, one such read is slow, and the rest are not made.
   */
  #isWarm(index: number): boolean {
    const readAtMs = this.#readAtMs.get(index);
    return readAtMs !== undefined && performance.now() - readAtMs < WARM_MS;
  }

  #readWarm(index: number, buffer: Uint8Array, position: number): number {
    const startedAtMs = performance.now();
    const count = this.#file.readNow(buffer, position);
    const nowMs = performance.now();
    if (nowMs - startedAtMs > SLOW_READ_MS) this.#readAtMs.clear();
    else this.#readAtMs.set(index, nowMs);
    return count;
  }

  /** The reader's own: not shared, since it is no whole chunk, or since there are too many of those. */
  async #small(index: number, position: number, end: number): Promise<Piece> {
    const wanted = Math.min(end, (index + 1) * CHUNK_BYTES) - position;
    const pool = this.#isTight() || wanted <= SMALL_BYTES ? this.#pools.small : this.#pools.whole;
    const chunk = new Chunk(pool, () => {});
    chunk.take();
    chunk.forget();
    try {
      return chunk.piece(0, await this.#read(chunk.buffer.subarray(0, wanted), position));
    } catch (error) {
      chunk.release();
      throw error;
    }
  }

  async #read(buffer: Uint8Array, position: number): Promise<number> {
    const count = await this.#file.read(buffer, position);
    if (count === 0) throw new Error(`the file ended at ${position}`);
    return count;
  }
}

/** A buffer that several readers use; it is given back when the last of them and the cache have let go of it. */
class Chunk {
  readonly buffer: Buffer;
  ready: Promise<void> = Promise.resolve();
  isPending = true;
  readonly #pool: BufferPool;
  readonly #onForget: () => void;
  #users = 0;
  #isKept = true;
  #isAbandoned = false;

  constructor(pool: BufferPool, onForget: () => void) {
    this.#pool = pool;
    this.#onForget = onForget;
    this.buffer = pool.take();
  }

  take(): void {
    this.#users += 1;
  }

  release(): void {
    this.#users -= 1;
    this.#recycleIfUnused();
  }

  /** The cache lets go of it. */
  forget(): void {
    this.#isKept = false;
    this.#onForget();
    this.#recycleIfUnused();
  }

  piece(start: number, end: number): Piece {
    return {
      bytes: this.buffer.subarray(start, end),
      release: () => this.release(),
      abandon: () => {
        this.#isAbandoned = true;
        this.release();
      },
    };
  }

  #recycleIfUnused(): void {
    if (this.#users > 0 || this.#isKept) return;
    if (this.#isAbandoned) this.#pool.abandon();
    else this.#pool.giveBack(this.buffer);
  }
}
