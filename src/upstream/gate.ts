import { growingCache } from "../lib/growing-cache.ts";
import { abortedError, ranOutOfTime } from "./aborts.ts";
import { type Admission, type BreakerState, CLOSED, type Outcome, admit, settle } from "./breaker.ts";
import { faultOf } from "./faults.ts";
import { Slots } from "./limits.ts";
import { ServerErrors } from "./server-errors.ts";
import { type TransferLane, UpstreamError, type UpstreamState } from "./upstream.ts";

/** The longest that a question may take from its turn to the last byte of the answer, milliseconds. */
export const QUESTION_MAX_MS = 60_000;
/** The same for a list, which may have a hundred pages. */
export const LIST_MAX_MS = 5 * 60_000;
/** Parts that go to single readers, as a share of the transfers. */
const PARTS_SHARE = 0.5;
/** Repositories whose failures are remembered. */
const REPOSITORIES_MAX = 1_000;

export interface GateOptions {
  /** For messages. */
  readonly host: string;
  readonly questionsMax: number;
  readonly transfersMax: number;
  /** Milliseconds of a monotonic clock. */
  readonly nowMs: () => number;
  /** Aborted when the upstream is closed. */
  readonly closing: AbortSignal;
  /** Hears of credentials that the upstream does not take. */
  readonly onRefused?: ((error: UpstreamError) => void) | undefined;
  /** Hears when the upstream as a whole is taken for broken, or no longer, and why. */
  readonly onAvailability?: ((isAvailable: boolean, why: string | undefined) => void) | undefined;
}

/** What stands before every question: the breaker and the number of those at once. Learns from how each one ends. */
export class Gate {
  readonly #options: GateOptions;
  readonly #questions: Slots;
  readonly #transfers: Record<TransferLane, Slots>;
  /** One for all that this upstream has, and one for each repository that fails alone. */
  #breaker: BreakerState = CLOSED;
  #wasClosed = true;
  readonly #repositories = growingCache<string, BreakerState>(REPOSITORIES_MAX);
  readonly #serverErrors = new ServerErrors();

  /** With another gate to the same upstream it shares the places, and nothing of what it learns. */
  constructor(options: GateOptions, beside?: Gate) {
    this.#options = options;
    const { host, questionsMax, transfersMax } = options;
    this.#questions =
      beside === undefined ? new Slots(questionsMax, `questions to ${host} at once`) : beside.#questions;
    const partsMax = Math.ceil(transfersMax * PARTS_SHARE);
    this.#transfers =
      beside === undefined
        ? {
            whole: new Slots(transfersMax, `transfers from ${host} at once`),
            part: new Slots(partsMax, `transfers of parts from ${host} at once`),
          }
        : beside.#transfers;
  }

  state(): Pick<UpstreamState, "breaker" | "questions" | "transfers" | "parts"> {
    const { admission } = admit(this.#breaker, this.#options.nowMs());
    return {
      breaker: breakerState(this.#breaker, admission),
      questions: this.#questions.places,
      transfers: this.#transfers.whole.places,
      parts: this.#transfers.part.places,
    };
  }

  get available(): boolean {
    return admit(this.#breaker, this.#options.nowMs()).admission.kind === "go";
  }

  /** Runs a question about a repository, for `limitMs` at most; rejects with an `UpstreamError` only. */
  async question<T>(
    signal: AbortSignal,
    repository: string,
    work: (signal: AbortSignal) => Promise<T>,
    limitMs = QUESTION_MAX_MS,
  ): Promise<T> {
    const inTime = (asker: AbortSignal) => this.#inTime(asker, work, limitMs);
    const { result, release } = await this.#run(this.#questions, signal, repository, inTime);
    release();
    return result;
  }

  /** Runs the beginning of a transfer. Its slot is the caller's to release once the transfer has ended. */
  async transfer<T>(
    signal: AbortSignal,
    repository: string,
    lane: TransferLane,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<{ result: T; release: () => void }> {
    const slots = this.#transfers[lane];
    if (lane === "part" && slots.isFull) {
      throw new UpstreamError("overloaded", `no place for a part of its own from ${this.#options.host}`);
    }
    return await this.#run(slots, signal, repository, work);
  }

  /** An idle limit alone lets an upstream that drips hold a slot for days. */
  async #inTime<T>(asker: AbortSignal, work: (signal: AbortSignal) => Promise<T>, limitMs: number): Promise<T> {
    const limit = AbortSignal.timeout(limitMs);
    try {
      return await work(AbortSignal.any([asker, limit]));
    } catch (error) {
      if (!limit.aborted || asker.aborted) throw error;
      const message = `${this.#options.host} did not finish its answer within ${limitMs / 1000} s`;
      throw new UpstreamError("timeout", message, { cause: error });
    }
  }

  async #run<T>(slots: Slots, asker: AbortSignal, repository: string, work: (signal: AbortSignal) => Promise<T>) {
    const signal = AbortSignal.any([asker, this.#options.closing]);
    // Before the queue, so that nobody waits there for a refusal; and after it, since things may have changed meanwhile.
    if (signal.aborted) throw abortedError(signal);
    this.#admitted(repository);
    const release = await slots.take(signal);
    try {
      return { result: await this.#judged(signal, repository, work), release };
    } catch (error) {
      release();
      throw faultOf(error, this.#options.host, signal);
    }
  }

  async #judged<T>(signal: AbortSignal, repository: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { upstream, own } = this.#admitted(repository);
    this.#breaker = upstream.state;
    this.#remember(repository, own.state);
    const settled = (verdict: Verdict) => {
      const nowMs = this.#options.nowMs();
      this.#settleWhole(settle(this.#breaker, upstream.isProbe, verdict.upstream, nowMs));
      this.#remember(repository, settle(this.#own(repository), own.isProbe, verdict.own, nowMs));
    };
    try {
      const result = await work(signal);
      settled(this.#answered());
      return result;
    } catch (error) {
      if (error instanceof UpstreamError && error.isOfCredentials) this.#options.onRefused?.(error);
      settled(this.#verdict(error, signal, repository));
      throw error;
    }
  }

  /** Half open it is still what it was. */
  #settleWhole(after: BreakerState): void {
    const wasClosed = this.#wasClosed;
    this.#breaker = after;
    this.#wasClosed = after.kind === "closed";
    if (wasClosed === this.#wasClosed) return;
    const { host } = this.#options;
    const why = after.kind === "paused" ? `${host} has asked for a pause` : `${host} has not been answering`;
    this.#options.onAvailability?.(this.#wasClosed, this.#wasClosed ? undefined : why);
  }

  #own(repository: string): BreakerState {
    return this.#repositories.get(repository) ?? CLOSED;
  }

  /** What is as it was at the beginning need not be remembered. */
  #remember(repository: string, state: BreakerState): void {
    if (state.kind === "closed" && state.failures === 0) this.#repositories.delete(repository);
    else this.#repositories.set(repository, state);
  }

  /** Throws a refusal. What is let through may be the probe of either breaker. */
  #admitted(repository: string) {
    const nowMs = this.#options.nowMs();
    const [upstream, own] = [admit(this.#breaker, nowMs), admit(this.#own(repository), nowMs)];
    return {
      upstream: { state: upstream.state, isProbe: this.#refuse(upstream.admission) },
      own: { state: own.state, isProbe: this.#refuse(own.admission) },
    };
  }

  #answered(): Verdict {
    this.#serverErrors.clear();
    return { upstream: { kind: "answered" }, own: { kind: "answered" } };
  }

  /** A repository that fails alone is no reason not to ask for others, nor is a pause that a content network asks for. */
  #verdict(error: unknown, signal: AbortSignal, repository: string): Verdict {
    if (error instanceof UpstreamError && error.kind === "server-error") {
      const counts = this.#serverErrors.add(repository);
      return { upstream: { kind: counts ? "failed" : "neutral" }, own: { kind: "failed" } };
    }
    const outcome = outcomeOf(error, signal);
    if (outcome.kind === "answered") return this.#answered();
    const isElsewhere = error instanceof UpstreamError && error.isElsewhere;
    return { upstream: isElsewhere ? { kind: "neutral" } : outcome, own: { kind: "neutral" } };
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

/** What one question says about the upstream, and about the repository that it was for. */
interface Verdict {
  readonly upstream: Outcome;
  readonly own: Outcome;
}

function breakerState(state: BreakerState, admission: Admission): UpstreamState["breaker"] {
  if (state.kind === "closed") return { kind: "closed" };
  const isPause = state.kind === "paused" || (state.kind === "half-open" && state.because === "rate-limit");
  const forMs = admission.kind === "refuse" && state.kind !== "half-open" ? Math.round(admission.waitMs) : 0;
  return { kind: "open", because: isPause ? "rate-limit" : "failures", forMs };
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
    case "quota":
      // Its own word; without a status nothing was sent.
      return { kind: error.status === undefined ? "neutral" : "answered" };
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
