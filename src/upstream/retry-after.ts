/** `Retry-After` is either seconds or an HTTP date (RFC 9110, section 10.2.3). */
const SECONDS = /^\d{1,9}$/;
/** IMF-fixdate and its two obsolete forms all begin with a day's name; anything else `Date.parse` would guess at. */
const DATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? [\w :+-]{10,40}$/;

/** Whole seconds from `nowMs` (since the epoch) on, never negative; undefined where the header says nothing usable. */
export function parseRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  const text = header?.trim() ?? "";
  if (SECONDS.test(text)) return Number(text);
  if (!DATE.test(text)) return undefined;
  // The oldest form (`Fri Nov  6 08:50:37 2026`) leaves the zone out; it is GMT all the same.
  const atMs = Date.parse(text.endsWith("GMT") ? text : `${text} GMT`);
  return Number.isNaN(atMs) ? undefined : Math.max(0, Math.ceil((atMs - nowMs) / 1000));
}
