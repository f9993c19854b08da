/** The part of `process` that tells when to end. */
export interface EndingSource {
  on(event: "SIGINT" | "SIGTERM", listener: (signal: NodeJS.Signals) => void): unknown;
  on(event: "uncaughtException", listener: (error: unknown) => void): unknown;
}

export interface Ending {
  /** Resolves when the operator or the service manager asks to stop. */
  readonly asked: Promise<NodeJS.Signals>;
  /** Resolves when there is no time for an orderly stop: asked a second time, or something broke. */
  readonly atOnce: Promise<1>;
}

/** Waits for the start, but not once an end was asked for: what is cut short then is what a crash would cut short. */
export async function unlessAsked<T>(
  starting: Promise<T>,
  ending: Ending,
): Promise<{ readonly started: T } | { readonly signal: NodeJS.Signals }> {
  const asked = ending.asked.then((signal) => ({ signal }));
  return await Promise.race([asked, starting.then((started) => ({ started }))]);
}

/**
 * Signals are caught from the beginning: without a handler, process 1 of a container would not notice them at all. Errors
 * that nobody caught leave the process in an unknown state, and partials on the disk are all it needs to go on later.
 */
export function watchForEnding(source: EndingSource, onUncaught: (error: unknown) => void): Ending {
  const asked = Promise.withResolvers<NodeJS.Signals>();
  const atOnce = Promise.withResolvers<1>();
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals) => {
    signals += 1;
    if (signals === 1) asked.resolve(signal);
    else atOnce.resolve(1);
  };
  source.on("SIGINT", onSignal);
  source.on("SIGTERM", onSignal);
  source.on("uncaughtException", (error) => {
    atOnce.resolve(1);
    onUncaught(error);
  });
  return { asked: asked.promise, atOnce: atOnce.promise };
}
