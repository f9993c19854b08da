/** What `within` gives when the time is up first. */
export const LATE = Symbol("late");

/** The promise's result, or LATE after `ms`; the promise itself goes on. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | typeof LATE> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(resolve, Math.max(0, ms), LATE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Lets many wait for "something has changed" without polling. */
export class Changes {
  readonly #waiters = new Set<() => void>();

  /** Resolves at the next `notify`; rejects with the signal's reason when that comes first. */
  async next(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const leave = () => {
        this.#waiters.delete(wake);
        signal.removeEventListener("abort", abort);
      };
      const wake = () => {
        leave();
        resolve();
      };
      const abort = () => {
        leave();
        reject(signal.reason as Error);
      };
      this.#waiters.add(wake);
      signal.addEventListener("abort", abort);
    });
  }

  notify(): void {
    for (const wake of this.#waiters) wake();
  }
}

/** The promise's result, or a rejection with the signal's reason when that comes first; the promise itself goes on. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason as Error);
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
