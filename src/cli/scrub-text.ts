import type { ScrubAnswer } from "../admin/api/answers.ts";
import { humanSize } from "../lib/human.ts";

const BAR_COLUMNS = 20;

/** One line while it goes on. */
export function scrubLine(scrub: ScrubAnswer, bytesPerSecond: number): string {
  const share = scrub.bytes === 0 ? 0 : Math.min(1, scrub.bytesDone / scrub.bytes);
  const full = Math.floor(share * BAR_COLUMNS);
  const bar = `[${"=".repeat(full)}${" ".repeat(BAR_COLUMNS - full)}]`;
  const rate = `${humanSize(Math.max(0, Math.round(bytesPerSecond)))}/s`;
  const amount = `${humanSize(scrub.bytesDone)} of ${humanSize(scrub.bytes)}`;
  return [`${bar} ${String(Math.floor(share * 100)).padStart(3)}%`, amount, rate, ...damageOf(scrub)].join("  ");
}

/** How it stands, for whoever asks. */
export function scrubText(scrub: ScrubAnswer): string {
  return `${stateOf(scrub)}\n${lostText(scrub)}`;
}

function stateOf(scrub: ScrubAnswer): string {
  const { blobs, blobsDone, bytes, bytesDone } = scrub;
  const amount = `${blobsDone} of ${blobs} blobs, ${humanSize(bytesDone)} of ${humanSize(bytes)}`;
  const damage = damageOf(scrub).map((text) => `; ${text}`);
  if (scrub.isRunning) return `under way since ${scrub.startedAt ?? "just now"}: ${amount}${damage.join("")}`;
  if (scrub.startedAt === undefined) return "nothing was ever hashed anew: registry-cache scrub begins it";
  if (isOver(scrub)) {
    const all = `${blobs} ${blobs === 1 ? "blob" : "blobs"}, ${humanSize(bytes)}`;
    return `all that is stored was hashed until ${scrub.finishedAt}: ${all}${damage.join("") || "; nothing is damaged"}`;
  }
  return `stopped: ${amount}${damage.join("")}; registry-cache scrub goes on from there`;
}

function damageOf({ damaged, healed }: ScrubAnswer): string[] {
  return damaged === 0 ? [] : [`${damaged} damaged, ${healed} of them fetched anew`];
}

function lostText({ damaged, healed }: ScrubAnswer): string {
  const lost = damaged - healed;
  if (lost === 0) return "";
  return `${lost} could not be fetched anew and ${lost === 1 ? "is" : "are"} held no longer; the cache's log names them\n`;
}

/** Whether the last one that was begun has come to its end. */
export function isOver({ isRunning, startedAt, finishedAt }: ScrubAnswer): boolean {
  return !isRunning && finishedAt !== undefined && startedAt !== undefined && finishedAt >= startedAt;
}
