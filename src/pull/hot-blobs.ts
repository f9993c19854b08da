import { LRUCache } from "lru-cache";
import type { Logger } from "pino";
import { SingleFlight } from "../lib/single-flight.ts";
import { type Digest, digestAlgorithm, digestOf } from "../oci/digest.ts";
import type { Store, StoredBlob } from "../store/store.ts";

/** The largest blob that is kept in memory, in bytes: the configurations of images, attestations, small layers. */
export const HOT_BLOB_BYTES_MAX = 256 * 1024;
/** Bytes of blobs that are kept in memory, together. */
const MEMORY_BYTES_MAX = 32 * 1024 * 1024;

/** The stored blobs, the small and lately used ones of them from memory. */
export class HotBlobs {
  readonly #store: Pick<Store, "openBlob" | "readBlob" | "removeBlob" | "statBlob">;
  readonly #log: Pick<Logger, "error">;
  readonly #reads = new SingleFlight<Buffer | undefined>();
  readonly #hot = new LRUCache<Digest, Buffer>({
    maxSize: MEMORY_BYTES_MAX,
    sizeCalculation: (bytes) => bytes.length + 1,
  });

  constructor(store: Pick<Store, "openBlob" | "readBlob" | "removeBlob" | "statBlob">, log: Pick<Logger, "error">) {
    this.#store = store;
    this.#log = log;
  }

  /** Undefined where it is not held. The caller closes what it opens. */
  async open(digest: Digest): Promise<StoredBlob | undefined> {
    const hot = this.#hot.get(digest);
    if (hot !== undefined) return inMemory(hot);
    const blob = await this.#store.openBlob(digest);
    if (blob === undefined || blob.size > HOT_BLOB_BYTES_MAX) return blob;
    await blob.close();
    // One read and at most one removal at a time: what a new fill has mended meanwhile is not taken away again.
    const bytes = await this.#reads.run(digest, Date.now(), () => this.#read(digest)).result;
    return bytes === undefined ? undefined : inMemory(bytes);
  }

  /** The size in bytes, undefined where it is not held. */
  async size(digest: Digest): Promise<number | undefined> {
    return this.#hot.peek(digest)?.length ?? (await this.#store.statBlob(digest));
  }

  /** What goes to memory is verified, so a bit that has flipped on disk is fetched anew instead of served for days. */
  async #read(digest: Digest): Promise<Buffer | undefined> {
    const bytes = await this.#store.readBlob(digest, HOT_BLOB_BYTES_MAX);
    if (bytes === undefined) return undefined;
    if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
      this.#log.error({ digest }, "a stored blob does not match its digest; it is fetched anew");
      await this.#store.removeBlob(digest);
      return undefined;
    }
    this.#hot.set(digest, bytes);
    return bytes;
  }
}

function inMemory(bytes: Buffer): StoredBlob {
  return {
    size: bytes.length,
    read: async (buffer, position) => bytes.copy(buffer, 0, position),
    close: async () => undefined,
  };
}
