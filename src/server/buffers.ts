/** One read from disk and one write to a socket; larger ones cost memory per reader, smaller ones system calls. */
export const BUFFER_BYTES = 128 * 1024;
/** Buffers kept for the next reader; others are left to the garbage collector. */
const SPARE_BUFFERS_MAX = 64;

/** Lends the buffers that responses are streamed through, two a response. */
export class BufferPool {
  readonly #spare: Buffer[] = [];

  take(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
  }

  /** The buffer must not be in use by any read or write any more. */
  giveBack(buffer: Buffer): void {
    if (this.#spare.length < SPARE_BUFFERS_MAX) this.#spare.push(buffer);
  }
}
