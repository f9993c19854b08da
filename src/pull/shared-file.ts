import { orAborted } from "../lib/wait.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { StoredBlob } from "../store/store.ts";
import { type ByteReader, HELD_BACK_BYTES, type Span } from "./bytes.ts";
import type { ChunkCache, ChunkedFile } from "./chunks.ts";

/** Whether the bytes are known to be right: `undefined` while they are being hashed. */
type Verdict = "sound" | "damaged" | undefined;

/**
 * A stored blob that several readers have open: one descriptor, and its chunks read once. While its bytes are being hashed
 * the end is withheld, as that of a fill is.
 */
export class SharedFile {
  readonly digest: Digest;
  readonly blob: StoredBlob;
  readonly #chunks: ChunkedFile;
  readonly #onUnused: () => void;
  #users = 0;
  #checks = 0;
  #verdict: Verdict;
  #checked: Promise<boolean> | undefined;

  /** `onUnused` is called once, when the last user has left and the file is closed. */
  constructor(options: { digest: Digest; blob: StoredBlob; chunks: ChunkCache; onUnused: () => void }) {
    this.digest = options.digest;
    this.blob = options.blob;
    this.#chunks = options.chunks.open(options.blob);
    this.#onUnused = options.onUnused;
  }

  /** Users but for whoever hashes it. */
  get readers(): number {
    return this.#users - this.#checks;
  }

  /** Each user leaves once. */
  use(): void {
    this.#users += 1;
  }

  /** A user as well, for as long as it hashes. */
  async check(run: () => Promise<boolean>): Promise<boolean> {
    this.use();
    this.#checks += 1;
    try {
      return await run();
    } finally {
      this.#checks -= 1;
      await this.leave();
    }
  }

  async leave(): Promise<void> {
    this.#users -= 1;
    if (this.#users > 0) return;
    this.#onUnused();
    this.#chunks.close();
    await this.blob.close();
  }

  /** The bytes were found right already. */
  trust(): void {
    this.#verdict = "sound";
  }

  /** Readers wait for this before they give out the end. */
  checkedBy(check: Promise<boolean>): void {
    this.#verdict = undefined;
    this.#checked = check.then((isRight) => {
      this.#verdict = isRight ? "sound" : "damaged";
      return isRight;
    });
    this.#checked.catch(() => undefined);
  }

  reader(span: Span, signal: AbortSignal): ByteReader {
    return {
      next: async (position) => {
        if (position >= span.end) return undefined;
        if (position >= this.#visibleBytes) await this.#assertSound(signal);
        return await this.#chunks.piece(position, Math.min(span.end, this.#visibleBytes));
      },
      close: async () => undefined,
    };
  }

  get #visibleBytes(): number {
    if (this.#verdict === "sound") return this.blob.size;
    return this.#verdict === "damaged" ? 0 : Math.max(0, this.blob.size - HELD_BACK_BYTES);
  }

  async #assertSound(signal: AbortSignal): Promise<void> {
    if (this.#checked !== undefined && (await orAborted(this.#checked, signal))) return;
    throw new RegistryError(503, "BLOB_UNKNOWN", "the stored bytes are damaged and are fetched anew; ask again", {
      retryAfterS: 1,
    });
  }
}
