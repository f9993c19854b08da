import assert from "node:assert/strict";
import { type Answer, ask, errorCode } from "../../support/client.ts";
import { ms } from "./figures.ts";

/** How a pull ended for its client, and after how many milliseconds. */
export interface Ending {
  /** `right`; `broken off` after right bytes, or `after wrong bytes`; else the error's status and code: `502 UNAVAILABLE`. */
  readonly how: string;
  readonly afterMs: number;
  readonly retryAfterS: number | undefined;
}

/**
 * Pulls as a client does that verifies. A body that ends as if it were whole and is not right, and an error in another form
 * than the specification's, fail the test, whatever else was expected.
 */
export async function pull(url: string, expected: Uint8Array, headers: Record<string, string> = {}): Promise<Ending> {
  const startedMs = performance.now();
  const answer = await ask(url, { headers });
  const afterMs = performance.now() - startedMs;
  const retryAfter = answer.headers["retry-after"];
  return {
    how: howOf(answer, expected),
    afterMs,
    retryAfterS: retryAfter === undefined ? undefined : Number(retryAfter),
  };
}

function howOf(answer: Answer, expected: Uint8Array): string {
  const { status, body, isWhole } = answer;
  if (status === 200 || status === 206) {
    const isRight = body.equals(expected.subarray(0, body.length));
    if (!isWhole) return isRight ? "broken off" : "broken off after wrong bytes";
    assert.ok(isRight && body.length === expected.length, `${body.length} wrong bytes as if they were right`);
    return "right";
  }
  const code = errorCode(answer);
  assert.ok(isWhole && code !== undefined, `status ${status} with a body that is no error: ${body.toString("latin1")}`);
  return `${status} ${code}`;
}

/** `502 UNAVAILABLE in 12 ms`; of several alike, the slowest. */
export function told(endings: readonly Ending[]): string {
  const slowest = Math.max(...endings.map(({ afterMs }) => afterMs));
  const kinds = [...new Set(endings.map(({ how }) => how))].toSorted();
  return `${kinds.join(", ")} in ${ms(slowest)}`;
}
