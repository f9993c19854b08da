import { UpstreamError } from "../upstream/upstream.ts";
import type { BlobBody } from "../upstream/upstream.ts";
import type { OpenUpstream } from "./transfer.ts";

/** How long a source is watched before it is judged. */
const WATCH_MS = 15_000;
/** A source that brings less in that time is slow, when there is another one. */
const SLOW_BYTES = 256 * 1024;

interface Source {
  /** Whatever tells two of them apart. */
  readonly key: unknown;
  readonly open: OpenUpstream;
  isSlow: boolean;
}

/**
 * Where a fill takes its bytes from: the upstream of the repository that it was started for, and those of others that are
 * proven to have the blob. One of them is used while it brings bytes; when it fails, brings nothing or is slow, the next one
 * goes on where it stood. The digest tells in the end whether all of them had the same content.
 */
export class Sources {
  readonly #sources: Source[];
  /** Bytes that the fill has by now. */
  readonly #progress: () => number;
  #current = 0;
  /** Where the fill stood when the current source was last opened; undefined before the first answer. */
  #openedAt: number | undefined;
  #watch: NodeJS.Timeout | undefined;

  constructor(key: unknown, open: OpenUpstream, progress: () => number) {
    this.#sources = [{ key, open, isSlow: false }];
    this.#progress = progress;
  }

  /** Another upstream that is proven to have the blob. */
  add(key: unknown, open: OpenUpstream): void {
    if (!this.#sources.some((one) => one.key === key)) this.#sources.push({ key, open, isSlow: false });
  }

  /**
   * Before the first source has answered there is no other: that answer is the proof that its repository has the blob, and
   * without it nobody there may read what another upstream sends.
   */
  readonly open: OpenUpstream = async (range, signal) => {
    this.close();
    if (this.#openedAt !== undefined && this.#openedAt === this.#progress()) this.#moveOn();
    const choices = this.#openedAt === undefined ? 1 : this.#sources.length;
    for (let choice = 1; ; choice += 1) {
      try {
        return await this.#openCurrent(range, signal);
      } catch (error) {
        if (choice === choices || signal.aborted) throw error;
        this.#moveOn();
      }
    }
  };

  async #openCurrent(...[range, signal]: Parameters<OpenUpstream>): Promise<BlobBody> {
    const source = this.#sources[this.#current] as Source;
    const opened = await source.open(range, signal);
    this.#openedAt = this.#progress();
    this.#watchOver(source, opened);
    return opened;
  }

  #moveOn(): void {
    this.#current = (this.#current + 1) % this.#sources.length;
  }

  /** Each is given up for slowness once at most, so that slow ones alone are not asked in turn for ever. */
  #watchOver(source: Source, { body, wasHeldBack }: BlobBody): void {
    let before = this.#progress();
    this.#watch = setInterval(() => {
      const brought = this.#progress() - before;
      before += brought;
      // Our own cap is nothing that a source could be blamed for.
      const isHeldBack = wasHeldBack?.() === true;
      if (brought >= SLOW_BYTES || source.isSlow || isHeldBack) return;
      const other = this.#sources.findIndex((one) => one !== source && !one.isSlow);
      if (other === -1) return;
      source.isSlow = true;
      this.#current = other;
      // The next one is chosen; that this one brought nothing is no reason to pass it by.
      this.#openedAt = -1;
      body.destroy(
        new UpstreamError("timeout", `sent ${brought} bytes in ${WATCH_MS / 1000} s; another upstream goes on`),
      );
    }, WATCH_MS);
    this.#watch.unref();
  }

  /** Ends the watch; the bodies are the transfer's. */
  close(): void {
    clearInterval(this.#watch);
  }
}
