import { X509Certificate } from "node:crypto";

/** A certificate is renewed when so much of its life has passed, as Let's Encrypt asks for: a third of it is left for trouble. */
const LIFE_SHARE = 2 / 3;

const RETRY_MS = 60_000;
const RETRY_MS_MAX = 6 * 60 * 60_000;

/** How long until this certificate (PEM) should be renewed; 0: now. Milliseconds. */
export function renewalDelayMs(cert: string, nowMs: number): number {
  const { validFromDate, validToDate } = new X509Certificate(cert);
  const [from, to] = [validFromDate.getTime(), validToDate.getTime()];
  return Math.max(0, from + (to - from) * LIFE_SHARE - nowMs);
}

/** How long to wait after so many failures in a row: an authority counts them, and forgives none. Milliseconds. */
export function retryDelayMs(failures: number): number {
  return Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** (failures - 1));
}

/** Whether the certificate (PEM) is for all of these names. */
export function coversAll(cert: string, names: readonly string[]): boolean {
  const read = new X509Certificate(cert);
  return names.every((name) => read.checkHost(name) !== undefined);
}
