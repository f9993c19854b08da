import { LRUCache } from "lru-cache";
import type { Logger } from "pino";
import { SingleFlight } from "../lib/single-flight.ts";
import { type Digest, digestAlgorithm, digestOf, finishDigest, hasherFor } from "../oci/digest.ts";
import type { Store, StoredBlob } from "../store/store.ts";

/** The largest blob that is kept in memory, in bytes: the configurations of images, attestations, small layers. */
export const HOT_BLOB_BYTES_MAX = 1024 * 1024;
/** Bytes of blobs that are kept in memory, together. */
const MEMORY_BYTES_MAX = 32 * 1024 * 1024;
/** Large blobs whose stored size was found right; they are not looked at again. */
const SOUND_MAX = 100_000;
const CHECK_BUFFER_BYTES = 1024 * 1024;

/** A blob that is open; with its bytes where they are in memory. */
export interface OpenBlob extends StoredBlob {
  readonly bytes?: Uint8Array;
}

/** The size in bytes that a manifest gives, where one is known to. */
export type NamedSize = () => Promise<number | undefined>;

/** The stored blobs, the small and lately used ones of them from memory. */
export class HotBlobs {
  readonly #store: Pick<Store, "openBlob" | "readBlob" | "removeBlob" | "statBlob">;
  readonly #log: Pick<Logger, "error">;
  readonly #reads = new SingleFlight<Buffer | undefined>();
  readonly #checks = new SingleFlight<boolean>();
  readonly #sound = new LRUCache<Digest, true>({ max: SOUND_MAX });
  readonly #hot = new LRUCache<Digest, Buffer>({
    maxSize: MEMORY_BYTES_MAX,
    sizeCalculation: (bytes) => bytes.length + 1,
  });

  constructor(store: Pick<Store, "openBlob" | "readBlob" | "removeBlob" | "statBlob">, log: Pick<Logger, "error">) {
    this.#store = store;
    this.#log = log;
  }

  /** Undefined where it is not held, or is not what its digest says. The caller closes what it opens. */
  async open(digest: Digest, namedSize: NamedSize): Promise<OpenBlob | undefined> {
    const hot = this.#hot.get(digest);
    if (hot !== undefined) return inMemory(hot);
    const blob = await this.#store.openBlob(digest);
    if (blob === undefined) return undefined;
    if (blob.size > HOT_BLOB_BYTES_MAX) return await this.#ifSound(digest, blob, namedSize);
    await blob.close();
    // One read and at most one removal at a time: what a new fill has mended meanwhile is not taken away again.
    const bytes = await this.#reads.run(digest, Date.now(), () => this.#read(digest)).result;
    return bytes === undefined ? undefined : inMemory(bytes);
  }

  /** The size in bytes, undefined where `open` gives nothing. */
  async size(digest: Digest, namedSize: NamedSize): Promise<number | undefined> {
    const hot = this.#hot.peek(digest);
    if (hot !== undefined) return hot.length;
    if (this.#sound.has(digest)) return await this.#store.statBlob(digest);
    const blob = await this.open(digest, namedSize);
    await blob?.close();
    return blob?.size;
  }

  /**
   * A file that lost its end, in a copy or with its disk, would be served short for ever. Where a manifest gives another
   * size one of the two is wrong, and the bytes tell which: a manifest that lies costs one reading, not the blob.
   */
  async #ifSound(digest: Digest, blob: StoredBlob, namedSize: NamedSize): Promise<StoredBlob | undefined> {
    try {
      if (await this.#isSound(digest, blob.size, namedSize)) return blob;
      await blob.close();
      return undefined;
    } catch (error) {
      await blob.close();
      throw error;
    }
  }

  async #isSound(digest: Digest, size: number, namedSize: NamedSize): Promise<boolean> {
    if (this.#sound.has(digest)) return true;
    const named = await namedSize();
    if (named === undefined) return true;
    if (named !== size) return await this.#checks.run(digest, Date.now(), () => this.#check(digest)).result;
    this.#sound.set(digest, true);
    return true;
  }

  async #check(digest: Digest): Promise<boolean> {
    const blob = await this.#store.openBlob(digest);
    if (blob === undefined) return false;
    try {
      if ((await digestOfBlob(digest, blob)) !== digest) return await this.#takeAway(digest);
      this.#sound.set(digest, true);
      return true;
    } finally {
      await blob.close();
    }
  }

  async #takeAway(digest: Digest): Promise<false> {
    this.#log.error({ digest }, "a stored blob does not match its digest; it is fetched anew");
    await this.#store.removeBlob(digest);
    return false;
  }

  /** What goes to memory is verified, so a bit that has flipped on disk is fetched anew instead of served for days. */
  async #read(digest: Digest): Promise<Buffer | undefined> {
    const bytes = await this.#store.readBlob(digest, HOT_BLOB_BYTES_MAX);
    if (bytes === undefined) return undefined;
    if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
      await this.#takeAway(digest);
      return undefined;
    }
    this.#hot.set(digest, bytes);
    return bytes;
  }
}

async function digestOfBlob(digest: Digest, blob: StoredBlob): Promise<Digest> {
  const hash = hasherFor(digest);
  const buffer = Buffer.allocUnsafe(CHECK_BUFFER_BYTES);
  for (let position = 0, count; (count = await blob.read(buffer, position)) > 0; position += count) {
    hash.update(buffer.subarray(0, count));
  }
  return finishDigest(digestAlgorithm(digest), hash);
}

function inMemory(bytes: Buffer): OpenBlob {
  return {
    size: bytes.length,
    bytes,
    read: async (buffer, position) => bytes.copy(buffer, 0, position),
    close: async () => undefined,
  };
}
