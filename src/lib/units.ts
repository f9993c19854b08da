import ms from "ms";
import { ValueError } from "./value-error.ts";

const SHOWN_LENGTH_MAX = 60;

/** What a person wrote, quoted and cut for an error message. */
export function shown(text: string): string {
  return JSON.stringify(text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}...` : text);
}

/** A hundred years: beyond that `never` is meant. */
export const DURATION_MS_MAX = 100 * 365 * 24 * 60 * 60 * 1000;

const DURATION = /^(\d{1,15})(ms|s|m|h|d|w)$/;
const DURATION_UNITS = [
  ["d", 24 * 60 * 60 * 1000],
  ["h", 60 * 60 * 1000],
  ["m", 60 * 1000],
  ["s", 1000],
] as const;

/**
 * Milliseconds of `500ms`, `60s`, `15m`, `24h`, `30d` or `2w`. A number without a unit could be any of them and is refused.
 *
 * @throws ValueError
 */
export function parseDuration(text: string): number {
  if (/^\d{1,15}$/.test(text)) {
    throw new ValueError(`${shown(text)} has no unit`, `write ${text}s for seconds or ${text}m for minutes`);
  }
  if (!DURATION.test(text)) {
    const hint = "write a whole number and one of ms, s, m, h, d, w, such as 60s";
    throw new ValueError(`${shown(text)} is not a duration`, hint);
  }
  // The shape is checked above because `ms` also takes fractions, negative numbers and years.
  const durationMs = ms(text as ms.StringValue);
  if (durationMs > DURATION_MS_MAX) throw new ValueError(`${shown(text)} is too long`, "the longest is 36500d");
  return durationMs;
}

/** The shortest text that `parseDuration` reads as `durationMs`, a whole number of milliseconds. */
export function formatDuration(durationMs: number): string {
  for (const [unit, factor] of DURATION_UNITS) {
    if (durationMs > 0 && durationMs % factor === 0) return `${durationMs / factor}${unit}`;
  }
  return durationMs === 0 ? "0s" : `${durationMs}ms`;
}

const SIZE = /^(\d{1,16})(\.\d{1,9})? ?([A-Za-z]+)$/;
const SIZE_UNITS: ReadonlyMap<string, bigint> = new Map([
  ["B", 1n],
  ["kB", 1000n],
  ["KB", 1000n],
  ["MB", 1000n ** 2n],
  ["GB", 1000n ** 3n],
  ["TB", 1000n ** 4n],
  ["PB", 1000n ** 5n],
  ["KiB", 1024n],
  ["MiB", 1024n ** 2n],
  ["GiB", 1024n ** 3n],
  ["TiB", 1024n ** 4n],
  ["PiB", 1024n ** 5n],
]);

/**
 * Bytes of `200GiB` (1024) or `500MB` (1000), exactly. `200G` and `200` are refused: people mean either by them, and a disk
 * fills up by the difference.
 *
 * @throws ValueError
 */
export function parseSize(text: string): number {
  if (/^\d{1,16}$/.test(text)) {
    throw new ValueError(`${shown(text)} has no unit`, `write ${text}B for bytes or ${text}GiB for gibibytes`);
  }
  const [, whole, fraction = "", unit = ""] = SIZE.exec(text) ?? [];
  if (whole === undefined) {
    throw new ValueError(`${shown(text)} is not a size`, "write a number and a unit, such as 200GiB or 500MB");
  }
  const factor = SIZE_UNITS.get(unit);
  if (factor === undefined) throw unknownUnit(text, `${whole}${fraction}`, unit);
  const bytes = exactBytes(whole, fraction.slice(1), factor);
  if (bytes === undefined) {
    throw new ValueError(`${shown(text)} is not a whole number of bytes`, "use a smaller unit, such as 1536MiB");
  }
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER))
    throw new ValueError(`${shown(text)} is too large`, "the largest is 7PiB");
  return Number(bytes);
}

function unknownUnit(text: string, number: string, unit: string): ValueError {
  const letter = /^([kmgtp])i?b?$/i.exec(unit)?.[1]?.toUpperCase();
  if (letter === undefined) {
    const hint = "the units are B, KiB, MiB, GiB, TiB, PiB and kB, MB, GB, TB, PB";
    return new ValueError(`${shown(text)} has an unknown unit`, hint);
  }
  const power = "KMGTP".indexOf(letter) + 1;
  const binary = `${number}${letter}iB (1024^${power} bytes each)`;
  const decimal = `${number}${letter}B (1000^${power} bytes each)`;
  return new ValueError(`${shown(text)} is ambiguous`, `write ${binary} or ${decimal}`);
}

function exactBytes(whole: string, fraction: string, factor: bigint): bigint | undefined {
  const scale = 10n ** BigInt(fraction.length);
  const scaled = BigInt(whole + fraction) * factor;
  return scaled % scale === 0n ? scaled / scale : undefined;
}

/** The shortest text that `parseSize` reads as exactly `bytes`, a whole number. */
export function formatSize(bytes: number): string {
  const size = BigInt(bytes);
  const texts = [...SIZE_UNITS]
    .filter(([unit, factor]) => unit !== "KB" && size % factor === 0n && (size > 0n || factor === 1n))
    .map(([unit, factor]) => `${size / factor}${unit}`);
  return texts.reduce((shortest, text) => (text.length < shortest.length ? text : shortest));
}
