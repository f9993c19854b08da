import type { WarmImage } from "../upkeep/warm/warm.ts";
import { humanSize } from "../lib/human.ts";
import { printable } from "../lib/printable.ts";

const BAR_COLUMNS = 20;
const NAME_COLUMNS_MAX = 44;
/** Images that are shown under way; the last line counts all of them. */
const BARS_MAX = 8;

/** What is shown of a run while it goes on: a line for each image under way, and one for all of them. */
export function progressLines(
  images: readonly WarmImage[],
  total: number,
  rates: { readonly all: number; readonly of: (reference: string) => number },
): string[] {
  const running = images.filter(({ state }) => state === "running");
  const shown = running.slice(0, BARS_MAX).map((image) => barLine(image, rates.of(image.reference)));
  const done = images.filter(({ state }) => state === "done").length;
  const failed = images.filter(({ state }) => state === "failed").length;
  const bytes = images.reduce((sum, { bytesThere }) => sum + bytesThere, 0);
  const counts = [
    `${done} of ${total} done`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    humanSize(bytes),
    rateText(rates.all),
  ];
  return [...shown, counts.join("  ")];
}

function barLine({ reference, bytes, bytesThere, blobs }: WarmImage, rate: number): string {
  const name = shortened(printable(reference)).padEnd(NAME_COLUMNS_MAX);
  if (blobs === 0) return `${name}  asking its registry`;
  const share = bytes === 0 ? 0 : Math.min(1, bytesThere / bytes);
  const full = Math.floor(share * BAR_COLUMNS);
  const bar = `[${"=".repeat(full)}${" ".repeat(BAR_COLUMNS - full)}]`;
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  return `${name}  ${bar} ${percent}  ${humanSize(bytesThere)} of ${humanSize(bytes)}  ${rateText(rate)}`;
}

function rateText(bytesPerSecond: number): string {
  return `${humanSize(Math.max(0, Math.round(bytesPerSecond)))}/s`;
}

/** The end of a name tells more than its beginning. */
function shortened(text: string): string {
  return text.length <= NAME_COLUMNS_MAX ? text : `...${text.slice(3 - NAME_COLUMNS_MAX)}`;
}

/** One line for an image that has come to its end. */
export function outcomeLine({ reference, state, error, bytes, blobsFetched, stale }: WarmImage): string {
  const name = printable(reference);
  if (state === "failed") return `failed: ${name}: ${printable(error?.message ?? "nobody knows why")}\n`;
  const what =
    blobsFetched === 0
      ? "was held already"
      : `${humanSize(bytes)}, ${blobsFetched} ${blobsFetched === 1 ? "blob" : "blobs"} fetched`;
  const warning =
    stale === undefined ? "" : `warning: ${name}: upstream could not be asked (${stale}), so this is what is held\n`;
  return `done: ${name} (${what})\n${warning}`;
}
