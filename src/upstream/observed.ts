import type { ExchangeHears, Question } from "./exchange.ts";
import type { UpstreamAsked, UpstreamObserver } from "./observer.ts";
import type { QuotaWatch } from "./quota-watch.ts";
import type { HttpAnswer } from "./request.ts";
import { Throughput } from "./throughput.ts";
import { UpstreamError } from "./upstream.ts";

export interface ObservedOptions {
  /** Whose question it is: several registries may lead to one upstream. */
  readonly registryId: string;
  readonly observer: UpstreamObserver | undefined;
  readonly quota: QuotaWatch;
  /** Milliseconds of a monotonic clock. */
  readonly nowMs: () => number;
}

/** What one registry's questions come to, for whoever counts. */
export class Observed implements ExchangeHears {
  readonly #o: ObservedOptions;
  readonly #throughput: Throughput;

  constructor(options: ObservedOptions) {
    this.#o = options;
    this.#throughput = new Throughput(options.nowMs);
  }

  get bytesPerSecond(): number {
    return this.#throughput.bytesPerSecond;
  }

  answered({ asked, method }: Question, { status }: HttpAnswer, ms: number): (bytes: number) => void {
    const { registryId, observer } = this.#o;
    observer?.answered?.(registryId, { asked, method, status, ms });
    return (bytes) => {
      this.#throughput.add(bytes);
      observer?.received?.(registryId, asked, bytes);
    };
  }

  fromRegistry(answer: HttpAnswer): void {
    this.#o.quota.hear(answer);
  }

  /** What was given up by us is no failure. */
  failed(asked: UpstreamAsked, error: unknown): void {
    if (!(error instanceof UpstreamError) || error.kind === "aborted") return;
    this.#o.observer?.failed?.(this.#o.registryId, asked, error.kind);
  }
}
