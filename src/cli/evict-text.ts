import type { EvictionAnswer, PinsAnswer } from "../admin/api/answers.ts";
import { humanAge, humanSize } from "../lib/human.ts";
import { printable } from "../lib/printable.ts";
import { shortDigest } from "./ls-text.ts";
import { tableLines } from "./table.ts";

const COLUMNS = [
  { title: "IMAGE" },
  { title: "BACK", isNumber: true },
  { title: "UNUSED", isNumber: true },
  { title: "WHY" },
] as const;

export interface EvictionText {
  readonly isDryRun: boolean;
  readonly nowMs: number;
  readonly width: number | undefined;
}

/** What has gone, or would go, what stays, and how much comes back. */
export function evictionText(answer: EvictionAnswer, { isDryRun, nowMs, width }: EvictionText): string {
  const { images, imageCount, bytes, kept, orphans, lackingBytes } = answer;
  const rows = images.map(({ repository, tags, digest, bytes: back, lastUsedAt, reason }) => [
    printable(nameOf(repository, tags, digest)),
    humanSize(back),
    humanAge(nowMs - Date.parse(lastUsedAt)),
    reason,
  ]);
  const lines = rows.length === 0 ? [] : tableLines(COLUMNS, rows, width);
  if (imageCount > images.length) lines.push(`... ${imageCount - images.length} more`);
  const what = `${imageCount} ${imageCount === 1 ? "image" : "images"}`;
  lines.push(
    isDryRun
      ? `${what} would go, and ${humanSize(bytes)} would come back`
      : `${what} went, and ${humanSize(bytes)} came back`,
  );
  if (orphans.count > 0) lines.push(`among it what no image has: ${orphans.count}, ${humanSize(orphans.bytes)}`);
  lines.push(...kept.map(({ image, why }) => `stays: ${printable(image)} (${printable(why)})`));
  if (lackingBytes > 0) lines.push(`warning: ${humanSize(lackingBytes)} too much is held all the same`);
  return lines.map((line) => `${line}\n`).join("");
}

function nameOf(repository: string, [tag, ...more]: readonly string[], digest: string | undefined): string {
  if (tag !== undefined) return `${repository}:${tag}${more.length === 0 ? "" : ` +${more.length}`}`;
  return digest === undefined ? `${repository} (blobs)` : `${repository}@${shortDigest(digest)}`;
}

/** One line each: what it is, where it stands, and the note. */
export function pinsText({ pins }: PinsAnswer): string {
  if (pins.length === 0) return "nothing is pinned\n";
  return pins
    .map(({ image, isHold, isConfigured, note }) => {
      const facts = [
        ...(isHold ? ["held there"] : []),
        ...(isConfigured ? ["by the configuration"] : []),
        ...(note === undefined ? [] : [note]),
      ];
      return `${printable(image)}${facts.length === 0 ? "" : `  ${printable(facts.join(", "))}`}\n`;
    })
    .join("");
}
