/** Lends buffers of one size, and knows how many are out. */
export class BufferPool {
  readonly bufferBytes: number;
  readonly #sparesMax: number;
  readonly #spare: Buffer[] = [];
  #lent = 0;

  /** At most `sparesMax` are kept for the next one who asks; others are left to the garbage collector. */
  constructor(bufferBytes: number, sparesMax: number) {
    this.bufferBytes = bufferBytes;
    this.#sparesMax = sparesMax;
  }

  /** Buffers that were taken and neither given back nor abandoned. */
  get lent(): number {
    return this.#lent;
  }

  take(): Buffer {
    this.#lent += 1;
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.bufferBytes);
  }

  /** The buffer must not be in use by any read or write any more. */
  giveBack(buffer: Buffer): void {
    this.#lent -= 1;
    if (this.#spare.length < this.#sparesMax) this.#spare.push(buffer);
  }

  /** Somebody may still use the buffer, so that it cannot be lent again. */
  abandon(): void {
    this.#lent -= 1;
  }
}
