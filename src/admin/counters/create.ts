import type { OnRequest } from "../../server/request-facts.ts";
import { type Counted, RequestSums } from "../../server/request-sums.ts";
import { Counters, type CountersOptions } from "./counters.ts";

export type OnCounted = (counted: Counted) => void;

/** All that is counted: by this process, and by others that tell it. */
export interface Counting {
  readonly counters: Counters;
  /** Of this process. */
  readonly onRequest: OnRequest;
  /** What another process has counted. */
  readonly hear: OnCounted;
  /** Has everybody told what this process has counted until now. */
  readonly collect: () => void;
  /** Hears of everything that is counted, in whichever process; must be quick and must not throw. */
  listen(listener: OnCounted): void;
}

export function createCounting(options: Omit<CountersOptions, "collect">): Counting {
  const sums = new RequestSums();
  const listeners: OnCounted[] = [];
  const hear: OnCounted = (counted) => {
    counters.hear(counted);
    for (const listener of listeners) listener(counted);
  };
  const collect = () => hear(sums.take());
  const counters: Counters = new Counters({ ...options, collect });
  return { counters, onRequest: sums.note, hear, collect, listen: (listener) => void listeners.push(listener) };
}
