import { type Quota, QUOTA_PAUSE_MS, quotaOf, quotaPauseMs, quotaText, quotaVerdict } from "./quota.ts";
import type { HttpAnswer } from "./request.ts";
import { type QuotaState, type QuotaVerdict, UpstreamError } from "./upstream.ts";

export interface QuotaWatchOptions {
  /** For messages. */
  readonly host: string;
  /** Share of the limit that is to be spared. */
  readonly reserveShare: number;
  /** Milliseconds of a monotonic clock. */
  readonly nowMs: () => number;
  /** Hears of what each answer says. */
  readonly onSeen?: ((quota: Quota) => void) | undefined;
  /** Hears when the verdict has become another one. */
  readonly onVerdict?: ((verdict: QuotaVerdict, quota: Quota) => void) | undefined;
}

/**
 * How many pulls an upstream has left for one set of credentials, by its own word. While none are, no manifest is asked for, except that
 * now and then one HEAD goes through, which costs no pull, to see whether that is over.
 */
export class QuotaWatch {
  readonly #o: QuotaWatchOptions;
  #seen: { readonly quota: Quota; readonly atMs: number; readonly sinceEpochMs: number } | undefined;
  /** Counts the answers that said something of it. */
  #heard = 0;
  #askAgainAtMs = 0;
  #isProbing = false;
  #told: QuotaVerdict = "plenty";

  constructor(options: QuotaWatchOptions) {
    this.#o = options;
  }

  get state(): QuotaState {
    const seen = this.#seen;
    const verdict = this.verdict;
    if (seen === undefined) return { verdict, seen: undefined };
    return { verdict, seen: { ...seen.quota, atMs: seen.sinceEpochMs } };
  }

  get verdict(): QuotaVerdict {
    const seen = this.#seen;
    const known = seen === undefined ? undefined : { quota: seen.quota, ageMs: this.#o.nowMs() - seen.atMs };
    const verdict = quotaVerdict(known, this.#o.reserveShare);
    if (verdict !== this.#told && seen !== undefined) {
      this.#told = verdict;
      this.#o.onVerdict?.(verdict, seen.quota);
    }
    return verdict;
  }

  /** Takes note of what an answer says. What is said with a refusal is said to somebody without our credentials. */
  hear(answer: HttpAnswer): void {
    if (answer.status === 401 || answer.status === 403) return;
    const quota = quotaOf(answer);
    if (quota === undefined) return;
    const nowMs = this.#o.nowMs();
    this.#heard += 1;
    this.#seen = { quota, atMs: nowMs, sinceEpochMs: Date.now() };
    if (quota.remaining === 0) this.#askAgainAtMs = nowMs + quotaPauseMs(answer, Date.now());
    this.#o.onSeen?.(quota);
    // For those who are told of changes.
    void this.verdict;
  }

  /** Throws where a question about a manifest would be refused by `free` and `costly`. */
  assertHope(): void {
    if (this.verdict !== "spent") return;
    const waitMs = this.#isProbing ? QUOTA_PAUSE_MS : this.#askAgainAtMs - this.#o.nowMs();
    if (waitMs > 0) throw this.#spent(waitMs);
  }

  /** Asks what costs no pull. @throws UpstreamError `quota`, or as the question fails */
  async free<T>(ask: () => Promise<T>): Promise<T> {
    this.assertHope();
    return this.verdict === "spent" ? await this.#probe(ask) : await ask();
  }

  /** Asks what costs one; `free` is a question about the same that costs none. @throws UpstreamError as above */
  async costly<T>(ask: () => Promise<T>, free: () => Promise<unknown>): Promise<T> {
    this.assertHope();
    if (this.verdict === "spent") {
      const before = this.#heard;
      await this.#probe(free);
      // Where nothing is said with it, it is one of those that count for nothing.
      if (this.verdict === "spent" && this.#heard > before) throw this.#spent(this.#askAgainAtMs - this.#o.nowMs());
    }
    return await ask();
  }

  async #probe<T>(ask: () => Promise<T>): Promise<T> {
    this.#isProbing = true;
    try {
      return await ask();
    } finally {
      this.#isProbing = false;
      this.#askAgainAtMs = Math.max(this.#askAgainAtMs, this.#o.nowMs() + QUOTA_PAUSE_MS);
    }
  }

  #spent(waitMs: number): UpstreamError {
    const retryAfterS = Math.max(1, Math.ceil(waitMs / 1000));
    const left = this.#seen === undefined ? "" : `: ${quotaText(this.#seen.quota)}`;
    const message = `the pulls from ${this.#o.host} are used up${left}; it is asked again in ${retryAfterS} s`;
    return new UpstreamError("quota", message, { retryAfterS });
  }
}
