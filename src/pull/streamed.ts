import { Rate } from "../lib/rate.ts";

/** What readers of a blob that cannot be kept get from upstream by themselves. */
export class Streamed {
  readonly #rate = new Rate();
  #end = 0;

  /** One of them has got so many bytes more, up to `end` of the content. */
  add(bytes: number, end: number): void {
    this.#rate.add(bytes, performance.now());
    this.#end = Math.max(this.#end, end);
  }

  /** How far the first of them is. */
  get end(): number {
    return this.#end;
  }

  /** Of all of them, over the last seconds. */
  get bytesPerSecond(): number {
    return this.#rate.perSecond(performance.now());
  }
}
