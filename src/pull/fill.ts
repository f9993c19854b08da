import type { Hash } from "node:crypto";
import { Rate } from "../lib/rate.ts";
import { Changes, orAborted } from "../lib/wait.ts";
import { type Digest, digestAlgorithm, finishDigest, hasherFor } from "../oci/digest.ts";
import { NoRoomError, type Spool } from "../store/store.ts";
import { type BlobBody, UpstreamError } from "../upstream/upstream.ts";
import type { FillEnd } from "./activity.ts";
import { HELD_BACK_BYTES, ownPiece, type Piece } from "./bytes.ts";
import type { ChunkedFile } from "./chunks.ts";
import type { FillOptions, FillState } from "./fill-options.ts";
import { Streamed } from "./streamed.ts";
import { firstOf, SizeDispute, transfer } from "./transfer.ts";

/** When the disk fills up so near to the end, the rest is held in memory and every reader can finish. */
const MEMORY_TAIL_BYTES_MAX = 1024 * 1024;

/** Readers are woken for so many bytes, or what has come after so long: a hundred of them at every packet is all garbage. */
const WAKE_BYTES = 512 * 1024;
const WAKE_MS = 10;

/**
 * The one upstream transfer of one digest into the store. It belongs to the process: readers come, follow at their own
 * pace and go, and none of them can slow or end it.
 */
export class Fill {
  readonly digest: Digest;
  /** Settles, never rejects, when the fill has ended in any way and its spool was dealt with. */
  readonly ended: Promise<void>;
  readonly streamed = new Streamed();
  readonly #o: FillOptions;
  readonly #stop = new AbortController();
  readonly #changes = new Changes();
  #state: FillState = { kind: "filling" };
  #size: number | undefined;
  #writtenBytes = 0;
  #spool: Spool | undefined;
  #chunks: ChunkedFile | undefined;
  /** What has come and is not in the spool: the piece that is being written, and all from where the disk was full. */
  readonly #memory: Uint8Array[] = [];
  #isTailInMemory = false;
  #spooledBytes = 0;
  /** Whether the repository that it was started for has the blob; until then nobody sees what others have left of it. */
  #isProven = false;
  /** Of a partial. */
  #hashedBytes = 0;
  #wokenAtBytes = 0;
  #waking: NodeJS.Timeout | undefined;
  #readers = 0;
  /** What readers have open beside themselves. */
  #holds = 0;
  #idleSinceMs = 0;
  #hasEnded = false;
  #isKept = false;
  readonly #rate = new Rate();

  constructor(options: FillOptions) {
    this.#o = options;
    this.digest = options.digest;
    this.#size = options.size;
    this.ended = this.#run();
  }

  get state(): FillState {
    return this.#state;
  }

  /** Bytes of the whole content, once upstream or a manifest has said it. */
  get size(): number | undefined {
    return this.#size;
  }

  /** Only grows. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /**
   * Readers may see `[0, visibleBytes)`: before all is verified, not the end of the content. Where it ends, a manifest has to
   * say; what an upstream says of itself may be wrong, so that whatever has come last may be the end.
   */
  get visibleBytes(): number {
    if (this.#state.kind === "verified" || this.#state.kind === "unkept") return this.#writtenBytes;
    const endBytes = this.#o.size ?? this.#writtenBytes;
    return Math.max(0, Math.min(this.#writtenBytes, endBytes - HELD_BACK_BYTES));
  }

  /** Since when nobody reads, milliseconds since the epoch; undefined while somebody does. */
  get idleSinceMs(): number | undefined {
    return this.#isUsed ? undefined : this.#idleSinceMs;
  }

  get readers(): number {
    return this.#readers;
  }

  /** From upstream, over the last seconds. */
  get bytesPerSecond(): number {
    return this.#rate.perSecond(performance.now());
  }

  /** How it has ended. */
  get end(): FillEnd {
    if (this.#state.kind === "failed") return this.#state.error.kind === "aborted" ? "paused" : "failed";
    return this.#isKept ? "done" : "unkept";
  }

  /** It will not go on: whoever comes now needs another. */
  get isPausing(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Its spool is closed, or will be with its last reader: whoever comes now finds the store, or needs another. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Resolves when anything above may have changed. */
  async changed(signal: AbortSignal): Promise<void> {
    await this.#changes.next(signal);
  }

  /** A reader has come. It must `leave`. */
  join(): void {
    this.#readers += 1;
  }

  async leave(): Promise<void> {
    this.#readers -= 1;
    await this.#left();
  }

  /** As `join`, by what one who has joined opens: he is one reader still. It must `letGo`. */
  hold(): void {
    this.#holds += 1;
  }

  async letGo(): Promise<void> {
    this.#holds -= 1;
    await this.#left();
  }

  get #isUsed(): boolean {
    return this.#readers + this.#holds > 0;
  }

  async #left(): Promise<void> {
    if (!this.#isUsed) this.#idleSinceMs = Date.now();
    await this.#closeSpoolWhenUnused();
  }

  /** At least one byte from `position`, which must be below `visibleBytes`; none from `end` on. */
  async piece(position: number, end: number): Promise<Piece> {
    const visibleEnd = Math.min(end, this.visibleBytes);
    if (position >= this.#spooledBytes) return this.#memoryPiece(position, visibleEnd);
    if (this.#chunks === undefined) throw new Error("a fill was read before it had bytes, or after it was closed");
    return await this.#chunks.piece(position, Math.min(visibleEnd, this.#spooledBytes));
  }

  #memoryPiece(position: number, end: number): Piece {
    let start = this.#spooledBytes;
    for (const bytes of this.#memory) {
      if (position < start + bytes.length) return ownPiece(bytes.subarray(position - start, end - start));
      start += bytes.length;
    }
    throw new Error(`a fill was read at ${position}, beyond its ${start} bytes`);
  }

  /** Stops the transfer; what has come stays as a partial for the next request. */
  async pause(reason: string): Promise<void> {
    this.#stop.abort(new UpstreamError("aborted", reason));
    await this.ended;
  }

  async #run(): Promise<void> {
    const hash = hasherFor(this.digest);
    let asked: Promise<BlobBody> | undefined;
    try {
      await this.#o.admission(this.#stop.signal);
      // Upstream is asked while the spool is opened, which takes a dozen looks at the disk: a client waits for its first byte.
      if (await this.#o.isNew()) asked = this.#askWhole();
      this.#spool = await this.#o.openSpool(this.#size);
      this.#chunks = this.#o.chunks.open(this.#spool);
      await this.#receive(this.#spool, hash, asked);
      this.#verify(hash);
      await this.#commit(this.#spool);
    } catch (error) {
      await this.#fail(error, hash);
    } finally {
      // What was taken has come to its end by now.
      asked?.then(({ body }) => body.destroy()).catch(() => undefined);
      this.#hasEnded = true;
      this.#wake();
      await this.#closeSpoolWhenUnused();
    }
  }

  /** What a partial lacks is asked for while the partial is hashed: its readers wait for that answer, which is the proof. */
  async #receive(spool: Spool, hash: Hash, asked: Promise<BlobBody> | undefined): Promise<void> {
    const from = spool.existingBytes;
    if (from === 0) this.#isProven = true;
    else if (from === this.#o.size && (await this.#isWhole(spool, hash))) return;
    const pieces = this.#pieces(from, asked);
    try {
      const first = pieces.next();
      if (this.#hashedBytes < from) await this.#takeOver(spool, hash, first);
      for (let next = await first; next.done !== true; next = await pieces.next()) {
        hash.update(next.value);
        this.#rate.add(next.value.length, performance.now());
        await this.#append(spool, next.value);
      }
    } finally {
      await pieces.return();
    }
    await this.#prove();
    this.#setSize(this.#writtenBytes);
  }

  #pieces(from: number, asked: Promise<BlobBody> | undefined): AsyncGenerator<Uint8Array, void, void> {
    return transfer({
      open: firstOf(asked, this.#o.openUpstream),
      from,
      end: undefined,
      size: this.#size,
      signal: this.#stop.signal,
      onSize: (size) => this.#setSize(size),
      onOpened: () => this.#becomeProven(),
    });
  }

  /** As long as a manifest says, and right; where it is not, the manifest may be what is wrong. */
  async #isWhole(spool: Spool, hash: Hash): Promise<boolean> {
    await this.#takeOver(spool, hash, this.#prove());
    return finishDigest(digestAlgorithm(this.digest), hash.copy()) === this.digest;
  }

  /** Ends at once where the proof is refused: nobody is to make us hash for nothing. */
  async #takeOver(spool: Spool, hash: Hash, proof: Promise<unknown>): Promise<void> {
    const refused = new AbortController();
    proof.catch((error: unknown) => refused.abort(error));
    await spool.rehash(hash, AbortSignal.any([this.#stop.signal, refused.signal]), (bytes) => {
      this.#hashedBytes = bytes;
      this.#showHashed();
    });
    await proof;
  }

  async #prove(): Promise<void> {
    if (this.#isProven) return;
    await orAborted(this.#o.prove(), this.#stop.signal);
    this.#becomeProven();
  }

  #becomeProven(): void {
    if (this.#isProven) return;
    this.#isProven = true;
    this.#showHashed();
  }

  #showHashed(): void {
    if (!this.#isProven || this.#hashedBytes === 0) return;
    this.#spooledBytes = this.#hashedBytes;
    this.#grow(this.#hashedBytes);
  }

  #askWhole(): Promise<BlobBody> {
    const asked = this.#o.openUpstream(undefined, this.#stop.signal);
    // Told to whoever takes it.
    asked.catch(() => undefined);
    return asked;
  }

  /**
   * What is hashed is either on the disk or in memory. Nobody's first byte waits for the disk; all others do, for a crowd that follows
   * reads it in larger pieces there.
   */
  async #append(spool: Spool, piece: Uint8Array): Promise<void> {
    // Small pieces that are kept would each hold the whole packet that they came in.
    if (this.#isTailInMemory) return this.#hold(Buffer.from(piece));
    const isEarly = this.visibleBytes === 0;
    if (isEarly) this.#hold(piece);
    try {
      await spool.append(piece);
    } catch (error) {
      if (!isEarly) this.#hold(piece);
      if (!(error instanceof NoRoomError) || !this.#restFitsInMemory()) throw error;
      this.#isTailInMemory = true;
      return;
    }
    this.#memory.length = 0;
    this.#spooledBytes += piece.length;
    if (!isEarly) this.#grow(this.#spooledBytes);
  }

  #hold(piece: Uint8Array): void {
    this.#memory.push(piece);
    this.#grow(this.#writtenBytes + piece.length);
  }

  #restFitsInMemory(): boolean {
    return this.#size !== undefined && this.#size - this.#spooledBytes <= MEMORY_TAIL_BYTES_MAX;
  }

  #become(state: FillState): void {
    this.#state = state;
    this.#wake();
  }

  #setSize(size: number): void {
    this.#size = size;
    this.#wake();
  }

  #grow(writtenBytes: number): void {
    const isFirst = this.visibleBytes === 0;
    this.#writtenBytes = writtenBytes;
    if (isFirst || writtenBytes - this.#wokenAtBytes >= WAKE_BYTES) this.#wake();
    else this.#waking ??= setTimeout(() => this.#wake(), WAKE_MS);
  }

  #wake(): void {
    clearTimeout(this.#waking);
    this.#waking = undefined;
    this.#wokenAtBytes = this.#writtenBytes;
    this.#changes.notify();
  }

  #verify(hash: Hash): void {
    const actual = finishDigest(digestAlgorithm(this.digest), hash);
    if (actual !== this.digest)
      throw new UpstreamError("protocol", `sent content of digest ${actual}, not ${this.digest}`);
    const [named, bytes] = [this.#o.size ?? this.#writtenBytes, this.#writtenBytes];
    if (named !== bytes) throw new SizeDispute(`has ${bytes} bytes where a manifest says ${named}`);
    this.#become({ kind: "verified" });
  }

  /** Readers have all bytes by now: what fails here costs the keeping, not the pull. */
  async #commit(spool: Spool): Promise<void> {
    if (this.#isTailInMemory) return await spool.discard();
    await spool.commit();
    await this.#o.committed(this.#writtenBytes);
    this.#isKept = true;
  }

  async #fail(error: unknown, hash: Hash): Promise<void> {
    const about = { digest: this.digest, writtenBytes: this.#writtenBytes, sizeBytes: this.#size };
    if (this.#state.kind === "verified") {
      this.#o.log.error({ ...about, err: error }, "a verified blob could not be kept");
      return await this.#dispose("discard");
    }
    if (!(error instanceof UpstreamError)) {
      this.#logUnkept(about, error);
      // What is not shown of a partial, readers get from upstream, and hash themselves.
      this.#become({ kind: "unkept", hash: this.#writtenBytes === 0 ? hasherFor(this.digest) : hash });
      return await this.#dispose(this.#isProven ? "discard" : "keep");
    }
    this.#o.log.warn({ ...about, reason: error.message }, "a fill ended early");
    this.#become({ kind: "failed", error });
    await this.#dispose((await this.#isUseless(error)) ? "discard" : "keep");
  }

  /**
   * Wrong bytes are of no use to anybody; the beginning of right ones is. That they are wrong only the digest says, or an upstream
   * that has the blob: anybody may push a manifest that gives any size, to a repository that does not have it.
   */
  async #isUseless(error: UpstreamError): Promise<boolean> {
    if (error.kind !== "protocol" || error instanceof SizeDispute) return false;
    try {
      await this.#prove();
      return true;
    } catch {
      return false;
    }
  }

  /** A store that fails in any way costs the keeping, not the pull. */
  #logUnkept(about: object, error: unknown): void {
    if (error instanceof NoRoomError) {
      this.#o.log.warn({ ...about, reason: error.message }, "no room: streaming through without keeping");
    } else this.#o.log.error({ ...about, err: error }, "the store failed: streaming through without keeping");
  }

  async #dispose(how: "keep" | "discard"): Promise<void> {
    try {
      await this.#spool?.[how]();
    } catch (error) {
      this.#o.log.error({ digest: this.digest, err: error }, "a spool could not be put away");
    }
  }

  async #closeSpoolWhenUnused(): Promise<void> {
    if (!this.#hasEnded || this.#isUsed || this.#spool === undefined) return;
    const spool = this.#spool;
    this.#chunks?.close();
    this.#spool = undefined;
    this.#chunks = undefined;
    this.#memory.length = 0;
    await spool.close().catch((error: unknown) => this.#o.log.error({ err: error }, "a spool could not be closed"));
  }
}
