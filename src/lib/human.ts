/** Sizes and durations rounded for people to read; `units.ts` has the exact ones that configurations are written in. */

const SIZE_STEP = 1024;
const SIZE_UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"] as const;
/** Below it a decimal says something: `3.4 MiB`, but `34 MiB`. */
const DECIMAL_BELOW = 9.95;

/** `528 B`, `3.4 MiB`, `41 GiB`. */
export function humanSize(bytes: number): string {
  if (bytes < SIZE_STEP) return `${bytes} B`;
  let value = bytes;
  let unit = "B";
  for (const next of SIZE_UNITS) {
    // What would round up to 1024 is shown as 1.0 of the next one.
    if (Math.round(value) < SIZE_STEP) break;
    value /= SIZE_STEP;
    unit = next;
  }
  return `${value < DECIMAL_BELOW ? value.toFixed(1) : String(Math.round(value))} ${unit}`;
}

const SECOND_MS = 1000;
const MINUTE_S = 60;
const HOUR_MIN = 60;

/** `3 ms`, `1.2 s`, `42 s`, `2 min 5 s`, `3 h 20 min`. */
export function humanDuration(ms: number): string {
  if (Math.round(ms) < SECOND_MS) return `${Math.round(ms)} ms`;
  const seconds = ms / SECOND_MS;
  if (seconds < DECIMAL_BELOW) return `${seconds.toFixed(1)} s`;
  const wholeSeconds = Math.round(seconds);
  if (wholeSeconds < MINUTE_S) return `${wholeSeconds} s`;
  const minutes = Math.floor(wholeSeconds / MINUTE_S);
  if (minutes < HOUR_MIN) return joined(minutes, "min", wholeSeconds % MINUTE_S, "s");
  return joined(Math.floor(minutes / HOUR_MIN), "h", minutes % HOUR_MIN, "min");
}

function joined(most: number, unit: string, rest: number, restUnit: string): string {
  return rest === 0 ? `${most} ${unit}` : `${most} ${unit} ${rest} ${restUnit}`;
}

const HOUR_MS = HOUR_MIN * MINUTE_S * SECOND_MS;
const DAY_MS = 24 * HOUR_MS;
/** Hours say more than one or two days. */
const DAYS_FROM_MS = 2 * DAY_MS;

/** How long ago something was: `just now`, `42 s`, `5 min`, `3 h`, `12 d`. A clock that was put back makes it now. */
export function humanAge(ms: number): string {
  if (ms < SECOND_MS) return "just now";
  if (ms < MINUTE_S * SECOND_MS) return `${Math.floor(ms / SECOND_MS)} s`;
  if (ms < HOUR_MS) return `${Math.floor(ms / (MINUTE_S * SECOND_MS))} min`;
  if (ms < DAYS_FROM_MS) return `${Math.floor(ms / HOUR_MS)} h`;
  return `${Math.floor(ms / DAY_MS)} d`;
}
