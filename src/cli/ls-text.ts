import type { ImageAnswer } from "../admin/api/answers.ts";
import { humanAge, humanSize } from "../lib/human.ts";
import { printable } from "../lib/printable.ts";
import { type Column, tableLines } from "./table.ts";

const DIGEST_SHOWN = "sha256:0123456789ab".length;
const COLUMNS: readonly Column[] = [
  { title: "IMAGE" },
  { title: "SIZE", isNumber: true },
  { title: "LAST PULL", isNumber: true },
  { title: "PULLS", isNumber: true },
  { title: "PLATFORMS" },
];
/** Only where something is pinned. */
const PINNED_AT = COLUMNS.length - 1;

const NOTHING_YET =
  "nothing is held yet: what clients pull through the cache will be, and what registry-cache warm pulls\n";

export interface ListText {
  readonly images: readonly ImageAnswer[];
  /** Whether there are more than these. */
  readonly hasMore: boolean;
  readonly nowMs: number;
  /** Nothing was asked for in particular. */
  readonly isAll?: boolean;
  /** Of the terminal; undefined: lines are as long as they are. */
  readonly width: number | undefined;
}

/** A table, and how many there are. */
export function listText({ images, hasMore, isAll = false, nowMs, width }: ListText): string {
  if (images.length === 0) return isAll ? NOTHING_YET : "nothing is held that fits\n";
  const hasPinned = images.some(({ pinned }) => pinned !== undefined);
  const columns = hasPinned ? COLUMNS.toSpliced(PINNED_AT, 0, { title: "PINNED" }) : COLUMNS;
  const rows = images.map((image) => [
    printable(shortName(image)),
    humanSize(image.size),
    image.lastPulledAt === undefined ? "never" : humanAge(nowMs - Date.parse(image.lastPulledAt)),
    String(image.pulls),
    ...(hasPinned ? [image.pinned === undefined ? "-" : "yes"] : []),
    printable(platformsOf(image)),
  ]);
  const count = `${images.length} ${images.length === 1 ? "image" : "images"}`;
  const more = hasMore ? ", and there are more: see --limit" : "";
  const lines = [...tableLines(columns, rows, width), ...images.flatMap(heldElsewhere), `${count}${more}`];
  return lines.map((line) => `${line}\n`).join("");
}

/** Clients get something else than the list says that upstream has. */
function heldElsewhere({ repository, tags }: ImageAnswer): string[] {
  return tags.flatMap(({ tag, digest, heldAt }) => {
    if (heldAt === undefined || heldAt === digest) return [];
    return [`held: clients that ask for ${printable(`${repository}:${tag}`)} get ${shortDigest(heldAt)}`];
  });
}

/** By the first of its tags, with the number of the others; without one, by its digest. */
export function shortName({ repository, tags, digest }: ImageAnswer): string {
  const own = tags.filter((one) => one.digest === digest);
  const [first] = own.length > 0 ? own : tags;
  if (first === undefined) return `${repository}@${shortDigest(digest)}`;
  return `${repository}:${first.tag}${tags.length > 1 ? ` +${tags.length - 1}` : ""}`;
}

export function shortDigest(digest: string): string {
  return digest.slice(0, DIGEST_SHOWN);
}

/** Those that are held; of artifacts their kind. */
function platformsOf({ kind, artifactType, platforms }: ImageAnswer): string {
  if (kind === "artifact") return artifactType ?? "artifact";
  const held = platforms.filter(({ isHeld }) => isHeld);
  return held.map(platformText).join(",");
}

/** Linux goes without saying. */
export function platformText({ os, architecture, variant }: ImageAnswer["platforms"][number]): string {
  const name = variant === undefined ? architecture : `${architecture}/${variant}`;
  return os === "linux" ? name : `${os}/${name}`;
}
