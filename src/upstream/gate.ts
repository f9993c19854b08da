import { abortedError, ranOutOfTime } from "./aborts.ts";
import { type Admission, type BreakerState, CLOSED, type Outcome, admit, settle } from "./breaker.ts";
import { faultOf } from "./faults.ts";
import { Slots } from "./limits.ts";
import { UpstreamError } from "./upstream.ts";

export interface GateOptions {
  /** For messages. */
  readonly host: string;
  readonly questionsMax: number;
  readonly transfersMax: number;
  /** Milliseconds of a monotonic clock. */
  readonly nowMs: () => number;
  /** Aborted when the upstream is closed. */
  readonly closing: AbortSignal;
}

/** What stands before every question: the breaker and the number of those at once. Learns from how each one ends. */
export class Gate {
  readonly #options: GateOptions;
  readonly #questions: Slots;
  readonly #transfers: Slots;
  #breaker: BreakerState = CLOSED;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#questions = new Slots(options.questionsMax, `questions to ${options.host} at once`);
    this.#transfers = new Slots(options.transfersMax, `transfers from ${options.host} at once`);
  }

  get available(): boolean {
    return admit(this.#breaker, this.#options.nowMs()).admission.kind === "go";
  }

  /** Runs a question; rejects with an `UpstreamError` only. */
  async question<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { result, release } = await this.#run(this.#questions, signal, work);
    release();
    return result;
  }

  /** Runs the beginning of a transfer. Its slot is the caller's to release once the transfer has ended. */
  async transfer<T>(
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<{ result: T; release: () => void }> {
    return await this.#run(this.#transfers, signal, work);
  }

  async #run<T>(slots: Slots, asker: AbortSignal, work: (signal: AbortSignal) => Promise<T>) {
    const signal = AbortSignal.any([asker, this.#options.closing]);
    // Before the queue, so that nobody waits there for a refusal; and after it, since things may have changed meanwhile.
    if (signal.aborted) throw abortedError(signal);
    this.#refuse(admit(this.#breaker, this.#options.nowMs()).admission);
    const release = await slots.take(signal);
    try {
      return { result: await this.#judged(signal, work), release };
    } catch (error) {
      release();
      throw faultOf(error, this.#options.host, signal);
    }
  }

  async #judged<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { state, admission } = admit(this.#breaker, this.#options.nowMs());
    const probe = this.#refuse(admission);
    this.#breaker = state;
    const settled = (outcome: Outcome) => {
      this.#breaker = settle(this.#breaker, probe, outcome, this.#options.nowMs());
    };
    try {
      const result = await work(signal);
      settled({ kind: "answered" });
      return result;
    } catch (error) {
      settled(outcomeOf(error, signal));
      throw error;
    }
  }

  /** Throws a refusal; returns whether what was let through is the probe. */
  #refuse(admission: Admission): boolean {
    if (admission.kind === "go") return admission.probe;
    const retryAfterS = Math.ceil(admission.waitMs / 1000);
    const { host } = this.#options;
    if (admission.because === "failures") {
      throw new UpstreamError("unavailable", `${host} has not been answering, it is asked again later`, {
        retryAfterS,
      });
    }
    throw new UpstreamError("rate-limited", `${host} has asked for a pause`, { status: 429, retryAfterS });
  }
}

function outcomeOf(error: unknown, signal: AbortSignal): Outcome {
  if (!(error instanceof UpstreamError)) return { kind: "failed" };
  switch (error.kind) {
    case "rate-limited":
      return { kind: "rate-limited", retryAfterS: error.retryAfterS };
    case "unreachable":
    case "timeout":
    case "server-error":
      return { kind: "failed" };
    case "not-found":
    case "unauthorized":
    case "forbidden":
    case "protocol":
      return { kind: "answered" };
    case "aborted":
      return { kind: ranOutOfTime(signal) ? "failed" : "neutral" };
    case "unavailable":
    case "untrusted":
    case "overloaded":
      return { kind: "neutral" };
  }
}
