import { UpstreamError } from "./upstream.ts";

export function abortedError(signal: AbortSignal): UpstreamError {
  return new UpstreamError("aborted", "the question was given up", { cause: signal.reason });
}

/** Whether somebody's patience ended rather than their interest: an upstream that makes callers time out is a slow one. */
export function ranOutOfTime(signal: AbortSignal): boolean {
  return signal.aborted && signal.reason instanceof DOMException && signal.reason.name === "TimeoutError";
}

/** Stops waiting, not the work, as soon as the signal says so. */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let leave = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    leave = () => reject(abortedError(signal));
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave, { once: true });
  });
  try {
    return await Promise.race([aborted, work]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}
