import { LRUCache } from "lru-cache";
import type { Logger } from "pino";
import { growingCache } from "../lib/growing-cache.ts";
import { SingleFlight } from "../lib/single-flight.ts";
import { orAborted } from "../lib/wait.ts";
import { type Digest, digestAlgorithm, digestOf } from "../oci/digest.ts";
import type { Store } from "../store/store.ts";
import type { StoredActivity } from "./activity.ts";
import { type ByteReader, ownPiece, type Span } from "./bytes.ts";
import type { ChunkCache } from "./chunks.ts";
import { SharedFile } from "./shared-file.ts";
import { CHECKED_FIRST_BYTES_MAX, Soundness } from "./soundness.ts";

/** The largest blob that is kept in memory, in bytes: the configurations of images, attestations, small layers. */
export const HOT_BLOB_BYTES_MAX = 1024 * 1024;
/** Bytes of blobs that are kept in memory, together. */
const MEMORY_BYTES_MAX = 32 * 1024 * 1024;
const AGREED_MAX = 100_000;

/** A blob that somebody reads. */
export interface OpenBlob {
  /** Bytes. */
  readonly size: number;
  /** All of them, where they are in memory. */
  readonly bytes?: Uint8Array;
  /** Ends waiting when the signal aborts. Rejects with a `RegistryError` when the bytes turn out to be damaged. */
  reader(span: Span, signal: AbortSignal): ByteReader;
  close(): Promise<void>;
}

/** The size in bytes that a manifest gives, where one is known to. */
export type NamedSize = () => Promise<number | undefined>;

type BlobStore = Pick<Store, "openBlob" | "readBlob" | "statBlob"> & {
  /** Takes a blob away that was found damaged, unless another is there by then. */
  removeDamaged(digest: Digest, isStillThere: () => Promise<boolean>): Promise<void>;
};

/**
 * The stored blobs: small and lately used ones from memory, others from files that their readers share. A blob whose bytes
 * are not what its digest says, since a disk rots or a copy was cut short, is taken away, to be fetched anew.
 */
export class StoredBlobs {
  readonly #store: BlobStore;
  readonly #chunks: ChunkCache;
  readonly #log: Pick<Logger, "error">;
  readonly #soundness = new Soundness();
  readonly #reads = new SingleFlight<Buffer | undefined>();
  readonly #files = new Map<Digest, SharedFile>();
  /** Grows with all that goes: what was read before may be what has gone. */
  #departures = 0;
  /** Those that were opened at the same moment, or that others have taken the place of, too. */
  readonly #inUse = new Set<SharedFile>();
  /** Sizes that no manifest contradicts. */
  readonly #agreed = growingCache<Digest, number>(AGREED_MAX);
  readonly #hot = new LRUCache<Digest, Buffer>({
    maxSize: MEMORY_BYTES_MAX,
    sizeCalculation: (bytes) => bytes.length + 1,
  });

  constructor(options: { store: BlobStore; chunks: ChunkCache; log: Pick<Logger, "error"> }) {
    this.#store = options.store;
    this.#chunks = options.chunks;
    this.#log = options.log;
  }

  /**
   * Undefined where it is not held, or is not what its digest says. The caller closes what it opens. Rejects with the reason of
   * the signal, which is the client's, when that ends the waiting.
   */
  async open(digest: Digest, namedSize: NamedSize, signal: AbortSignal): Promise<OpenBlob | undefined> {
    const hot = this.#hot.get(digest);
    if (hot !== undefined) return inMemory(hot);
    const file = await this.#file(digest);
    if (file === undefined) return undefined;
    if (file.blob.size <= HOT_BLOB_BYTES_MAX) {
      await file.leave();
      // One read and at most one removal at a time: what a new fill has mended meanwhile is not taken away again.
      const bytes = await this.#reads.run(digest, Date.now(), () => this.#read(digest)).result;
      return bytes === undefined ? undefined : inMemory(bytes);
    }
    try {
      if (await this.#isServable(file, namedSize, signal)) return fromFile(file);
    } catch (error) {
      await file.leave();
      throw error;
    }
    await file.leave();
    return undefined;
  }

  /** The size in bytes, undefined where `open` gives nothing. */
  async size(digest: Digest, namedSize: NamedSize, signal: AbortSignal): Promise<number | undefined> {
    const hot = this.#hot.peek(digest);
    if (hot !== undefined) return hot.length;
    const size = await this.#store.statBlob(digest);
    if (size === undefined) return undefined;
    if (size > HOT_BLOB_BYTES_MAX && (await this.#agrees(digest, size, namedSize))) return size;
    const blob = await this.open(digest, namedSize, signal);
    await blob?.close();
    return blob?.size;
  }

  /** The same where its bytes are known to be right already; undefined does not mean that it is not held. */
  async soundSize(digest: Digest): Promise<number | undefined> {
    const hot = this.#hot.peek(digest);
    if (hot !== undefined) return hot.length;
    return this.#soundness.isKnown(digest) ? await this.#store.statBlob(digest) : undefined;
  }

  /** A file that lost its end shows by its size; the catalog is asked for it once. */
  async #agrees(digest: Digest, size: number, namedSize: NamedSize): Promise<boolean> {
    if (this.#agreed.get(digest) === size) return true;
    const named = await namedSize();
    if (named !== undefined && named !== size) return false;
    this.#agreed.set(digest, size);
    return true;
  }

  /** Those who read from files, which are bounded by clients; what is in memory is sent at once. */
  activity(): StoredActivity[] {
    const sums = new Map<Digest, number>();
    for (const { digest, readers } of this.#inUse) sums.set(digest, (sums.get(digest) ?? 0) + readers);
    return [...sums].map(([digest, readers]) => ({ digest, readers })).filter(({ readers }) => readers > 0);
  }

  /** It was hashed while it was written: its first reader need not do that again. */
  async trust(digest: Digest): Promise<void> {
    const blob = await this.#store.openBlob(digest);
    if (blob === undefined) return;
    this.#soundness.trust(digest, blob.version);
    await blob.close();
  }

  /** Somebody else has hashed the file of this version just now, and found it right. */
  foundRight(digest: Digest, version: string): void {
    this.#soundness.trust(digest, version);
  }

  /** Its bytes where they are in memory: they were verified, whatever has become of the file since. */
  bytesInMemory(digest: Digest): Uint8Array | undefined {
    return this.#hot.peek(digest);
  }

  /** Its file was found damaged: whoever reads it gets no more of it. */
  endReaders(digest: Digest): void {
    this.#files.get(digest)?.checkedBy(Promise.resolve(false));
  }

  /** Somebody has found it damaged: it is hashed again here, and taken away where that is so. */
  async doubt(digest: Digest): Promise<void> {
    this.#soundness.forget(digest);
    const file = await this.#file(digest);
    if (file === undefined) return;
    try {
      await this.#check(file);
    } finally {
      await file.leave();
    }
  }

  /** The file as it is now, with one more user. */
  async #file(digest: Digest): Promise<SharedFile | undefined> {
    const shared = this.#files.get(digest);
    if (shared !== undefined) {
      shared.use();
      if (await isCurrent(shared)) return shared;
      if (this.#files.get(digest) === shared) this.#files.delete(digest);
      await shared.leave();
    }
    const blob = await this.#store.openBlob(digest);
    if (blob === undefined) return undefined;
    const file: SharedFile = new SharedFile({
      digest,
      blob,
      chunks: this.#chunks,
      onUnused: () => {
        this.#inUse.delete(file);
        if (this.#files.get(digest) === file) this.#files.delete(digest);
      },
    });
    file.use();
    this.#inUse.add(file);
    // Another may have opened it meanwhile; both are good, and the later one is joined from now on.
    this.#files.set(digest, file);
    return file;
  }

  /**
   * Large blobs are hashed beside their first readers, who wait for the verdict at the end only. Where a manifest gives
   * another size one of the two is wrong, and a small blob is hashed in no time: those are looked at first.
   */
  async #isServable(file: SharedFile, namedSize: NamedSize, signal: AbortSignal): Promise<boolean> {
    const { digest, blob } = file;
    if (this.#soundness.isKnown(digest, blob.version)) {
      file.trust();
      return true;
    }
    const checked = this.#check(file);
    file.checkedBy(checked);
    if (blob.size <= CHECKED_FIRST_BYTES_MAX) return await orAborted(checked, signal);
    return (await this.#agrees(digest, blob.size, namedSize)) || (await orAborted(checked, signal));
  }

  async #check(file: SharedFile): Promise<boolean> {
    return await file.check(
      async () => await this.#soundness.check(file.digest, file.blob, () => this.#takeAway(file)),
    );
  }

  /** The bytes have gone, or will: whoever comes now looks anew, those who read them now go on. */
  forget(digests: readonly Digest[]): void {
    this.#departures += 1;
    for (const digest of digests) {
      this.#hot.delete(digest);
      this.#agreed.delete(digest);
      this.#soundness.forget(digest);
    }
  }

  /** Whether somebody reads it from the disk. */
  isRead(digest: Digest): boolean {
    return this.#files.has(digest);
  }

  async #takeAway({ digest, blob }: SharedFile): Promise<void> {
    // Somebody else may have found it too, and a new fill put the right one there.
    if (!(await blob.isCurrent())) return;
    this.#log.error({ digest }, DAMAGED);
    await this.#store.removeDamaged(digest, async () => await blob.isCurrent());
  }

  /** What goes to memory is verified, so a bit that has flipped on disk is fetched anew instead of served for days. */
  async #read(digest: Digest): Promise<Buffer | undefined> {
    const departures = this.#departures;
    const bytes = await this.#store.readBlob(digest, HOT_BLOB_BYTES_MAX);
    if (bytes === undefined) return undefined;
    if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
      this.#log.error({ digest }, DAMAGED);
      await this.#store.removeDamaged(digest, async () => await this.#isDamaged(digest));
      return undefined;
    }
    if (departures === this.#departures) this.#hot.set(digest, bytes);
    return bytes;
  }

  async #isDamaged(digest: Digest): Promise<boolean> {
    const bytes = await this.#store.readBlob(digest, HOT_BLOB_BYTES_MAX);
    return bytes !== undefined && digestOf(bytes, digestAlgorithm(digest)) !== digest;
  }
}

const DAMAGED = "a stored blob does not match its digest; it is taken away, and fetched anew when it is asked for";

/** One that cannot be told is given up by its user. */
async function isCurrent(file: SharedFile): Promise<boolean> {
  try {
    return await file.blob.isCurrent();
  } catch (error) {
    await file.leave();
    throw error;
  }
}

function fromFile(file: SharedFile): OpenBlob {
  return {
    size: file.blob.size,
    reader: (span, signal) => file.reader(span, signal),
    close: async () => await file.leave(),
  };
}

function inMemory(bytes: Buffer): OpenBlob {
  return {
    size: bytes.length,
    bytes,
    reader: ({ end }) => ({
      next: async (position) => (position >= end ? undefined : ownPiece(bytes.subarray(position, end))),
      close: async () => undefined,
    }),
    close: async () => undefined,
  };
}
