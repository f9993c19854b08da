import type { Logger } from "pino";

/** One piece of regular work. */
export interface Step {
  readonly name: string;
  /** From the end of one run to the beginning of the next; the first begins after as long. */
  readonly everyMs: number | (() => number);
  /** Ends early when the signal aborts, by returning or by throwing. */
  run(signal: AbortSignal): Promise<void>;
}

/** What a timer of Node's can hold; a longer one would fire at once. */
const EVERY_MS_MAX = 2 ** 31 - 1;

/**
 * Runs each step again and again, never twice at once. A failure is logged, and the step tried again when it is next due.
 * The timers do not keep the process alive.
 */
export function startUpkeep(steps: readonly Step[], log: Pick<Logger, "error" | "debug">): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const running = steps.map((step) => repeat(step, stopping.signal, log));
  return {
    stop: async () => {
      stopping.abort();
      await Promise.all(running);
    },
  };
}

async function repeat(step: Step, signal: AbortSignal, log: Pick<Logger, "error" | "debug">): Promise<void> {
  while (await due(step, signal)) {
    try {
      log.debug({ step: step.name }, "upkeep");
      await step.run(signal);
    } catch (error) {
      if (!signal.aborted) log.error({ step: step.name, err: error }, "upkeep failed");
    }
  }
}

/** True when the time has come, false when the upkeep is to stop. */
async function due(step: Step, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return false;
  return await new Promise((resolve) => {
    const inMs = typeof step.everyMs === "number" ? step.everyMs : step.everyMs();
    const timer = setTimeout(done, Math.min(inMs, EVERY_MS_MAX), true).unref();
    const stop = () => done(false);
    function done(isDue: boolean): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      resolve(isDue);
    }
    signal.addEventListener("abort", stop, { once: true });
  });
}
