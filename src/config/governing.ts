import { shown } from "../lib/units.ts";
import { ValueError } from "../lib/value-error.ts";
import { readDuration, readSize, readText } from "./values.ts";

/** Readers of what governs the cache: budgets, ages, caps. They give the value or throw ValueError. */

/** Less would not hold one image. */
const BUDGET_BYTES_MIN = 1024 ** 2;

export function readBudget(input: unknown): number {
  const bytes = readSize(input);
  if (bytes < BUDGET_BYTES_MIN) throw new ValueError("is too small to hold an image", "such as 200GiB");
  return bytes;
}

const AGE_MS_MIN = 60 * 60 * 1000;

export function readAge(input: unknown): number {
  const ageMs = readDuration(input);
  if (ageMs < AGE_MS_MIN) throw new ValueError("is too short", "the shortest is 1h; such as 90d");
  return ageMs;
}

/** Less would keep a client from its first byte for seconds. */
const BANDWIDTH_MIN = 16 * 1024;

/** `50MB`, meaning in each second. */
export function readBandwidth(input: unknown): number {
  const bytes = readSize(typeof input === "string" ? input.replace(/\/s$/, "") : input);
  if (bytes < BANDWIDTH_MIN) throw new ValueError("is too slow", "the slowest is 16KiB, in a second; such as 50MB");
  return bytes;
}

/** `10%` -> 0.1. */
export function readShare(input: unknown): number {
  const text = typeof input === "number" ? String(input) : readText(input, "10%");
  const [, percent] = /^(\d{1,2}|100)%$/.exec(text) ?? [];
  if (percent === undefined) throw new ValueError(`${shown(text)} is not a share`, "such as 10%");
  return Number(percent) / 100;
}

/** What is in it may be the receiver's secret: it is not quoted. */
export function readWebhookUrl(input: unknown): string {
  const text = readText(input, "https://hooks.example.com/cache");
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:\/\//i.test(text)) {
    throw new ValueError("is not an http:// or https:// address", "such as https://hooks.example.com/cache");
  }
  return url.href;
}
