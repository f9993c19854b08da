import type { UpstreamObserver } from "./observer.ts";

/** All of them hear of everything. */
export function together(observers: readonly UpstreamObserver[]): UpstreamObserver {
  return {
    answered: (...what) => observers.forEach((one) => one.answered?.(...what)),
    received: (...what) => observers.forEach((one) => one.received?.(...what)),
    tokenFetched: (...what) => observers.forEach((one) => one.tokenFetched?.(...what)),
    failed: (...what) => observers.forEach((one) => one.failed?.(...what)),
    availability: (...what) => observers.forEach((one) => one.availability?.(...what)),
    quota: (...what) => observers.forEach((one) => one.quota?.(...what)),
  };
}
