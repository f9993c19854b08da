/** Runs at most one piece of work per key at a time; whoever asks meanwhile waits for that one's result. */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>();

  /**
   * The work is nobody's: it goes on when those who wait leave, so it must be bounded by itself.
   * `startedAtMs` is the time at which the shared work began, not at which this caller joined; of the monotonic clock.
   */
  run(key: string, nowMs: number, work: () => Promise<T>): Flight<T> {
    const running = this.#flights.get(key);
    if (running !== undefined) return { ...running, joined: true };
    const result = work().finally(() => this.#flights.delete(key));
    // Those who wait see the rejection through their own await; without any of them it must not end the process.
    result.catch(() => undefined);
    const flight = { result, startedAtMs: nowMs, joined: false };
    this.#flights.set(key, flight);
    return flight;
  }

  /** Waits until nothing is under way. */
  async idle(): Promise<void> {
    while (this.#flights.size > 0) await Promise.allSettled([...this.#flights.values()].map((flight) => flight.result));
  }
}

export interface Flight<T> {
  readonly result: Promise<T>;
  readonly startedAtMs: number;
  readonly joined: boolean;
}
