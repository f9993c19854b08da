import type { Logger } from "pino";
import { type Collector, Samples } from "./samples.ts";

/** Everything that is known, looked at when somebody asks. */
export class Metrics {
  readonly #collectors: readonly Collector[];
  readonly #log: Pick<Logger, "debug">;
  #failures = 0;
  #running: Promise<Samples> | undefined;

  constructor(collectors: readonly Collector[], log: Pick<Logger, "debug">) {
    this.#collectors = collectors;
    this.#log = log;
  }

  /** Whoever asks while somebody else does is told the same. */
  async samples(): Promise<Samples> {
    this.#running ??= this.#collect().finally(() => (this.#running = undefined));
    return await this.#running;
  }

  /** What cannot be found out is left out, and counted. */
  async #collect(): Promise<Samples> {
    const samples = new Samples();
    await Promise.all(
      this.#collectors.map(async (collect) => {
        try {
          await collect(samples);
        } catch (error) {
          this.#failures += 1;
          this.#log.debug({ err: error }, "metrics lack something");
        }
      }),
    );
    samples.put("collector_failures_total", {}, this.#failures);
    return samples;
  }
}
