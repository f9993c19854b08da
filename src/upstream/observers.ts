import type { UpstreamObserver } from "./observer.ts";

/** Several that hear the same. */
export function observedBy(...observers: readonly (UpstreamObserver | undefined)[]): UpstreamObserver {
  const all = observers.filter((one) => one !== undefined);
  return {
    answered: (...told) => all.forEach((one) => one.answered?.(...told)),
    received: (...told) => all.forEach((one) => one.received?.(...told)),
    tokenFetched: (...told) => all.forEach((one) => one.tokenFetched?.(...told)),
    failed: (...told) => all.forEach((one) => one.failed?.(...told)),
    availability: (...told) => all.forEach((one) => one.availability?.(...told)),
    quota: (...told) => all.forEach((one) => one.quota?.(...told)),
  };
}
