import type { FakeRequest } from "./answer.ts";
import { matches } from "./faults.ts";
import type { RecordedRequest, RequestMatch } from "./types.ts";

const UNTIL_TIMEOUT_MS = 10_000;

/** All requests received, and a bell that rings whenever something about them changes. */
export class Journal {
  readonly requests: RecordedRequest[] = [];
  readonly #waiting = new Set<() => void>();

  begin({ role, method, path, headers }: FakeRequest): RecordedRequest {
    const record = { role, method, path, headers, status: 0, bytesSent: 0, atMs: Date.now(), closed: false };
    this.requests.push(record);
    this.ring();
    return record;
  }

  count(filter: RequestMatch): number {
    return this.requests.filter((request) => matches(filter, request)).length;
  }

  ring(): void {
    for (const check of this.#waiting) check();
  }

  async until(predicate: () => boolean, timeoutMs = UNTIL_TIMEOUT_MS): Promise<void> {
    if (predicate()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const check = () => {
      try {
        if (predicate()) resolve();
      } catch (error) {
        reject(error);
      }
    };
    const seen = () => this.requests.map(({ role, method, path, status }) => `${role} ${method} ${path} ${status}`);
    const timer = setTimeout(
      () => reject(new Error(`not within ${timeoutMs} ms: ${predicate.toString()}\n${seen().join("\n")}`)),
      timeoutMs,
    );
    this.#waiting.add(check);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(check);
    }
  }
}
