import { LRUCache } from "lru-cache";
import { UpstreamError, type UpstreamErrorKind } from "../upstream/upstream.ts";

/** Long enough to stop a loop of retries, short enough that a push or a granted right shows at once. */
export const REFUSAL_TTL_MS = 5_000;
const REFUSALS_MAX = 10_000;

const REMEMBERED: ReadonlySet<UpstreamErrorKind> = new Set(["not-found", "unauthorized", "forbidden"]);

/** Remembers for seconds, per credential, what an upstream said it does not have or does not give. */
export class Refusals {
  readonly #refusals = new LRUCache<string, UpstreamError>({ max: REFUSALS_MAX, ttl: REFUSAL_TTL_MS });

  /** Asks upstream unless it refused the same question just now, in which case it throws that refusal again. */
  async ask<T>(question: string, credentialId: string | undefined, ask: () => Promise<T>): Promise<T> {
    const key = `${credentialId ?? ""} ${question}`;
    const refusal = this.#refusals.get(key);
    if (refusal !== undefined) throw refusal;
    try {
      return await ask();
    } catch (error) {
      if (error instanceof UpstreamError && REMEMBERED.has(error.kind) && !error.isPersonal)
        this.#refusals.set(key, error);
      throw error;
    }
  }
}
