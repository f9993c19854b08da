import type { HistoryAnswer, ImageAnswer } from "../admin/api/answers.ts";
import { humanAge, humanSize } from "../lib/human.ts";
import { printable } from "../lib/printable.ts";
import { platformText, shortDigest, shortName } from "./ls-text.ts";

const LABEL_WIDTH = 12;
const INDENT = 2;

/** One image, with all that is known of it. */
export function imageText(image: ImageAnswer, nowMs: number): string {
  const { digest, kind, mediaType, artifactType, size, own, heldSince, confirmedAt, lastPulledAt, pulls } = image;
  const facts: (readonly [string, string])[] = [
    ["digest", digest],
    ["kind", artifactType === undefined ? `${kind} (${mediaType})` : `${kind} (${artifactType})`],
    ["size", own === size ? humanSize(size) : `${humanSize(size)}, of which ${humanSize(own)} would come back`],
    ...(image.missing === undefined ? [] : [["missing", missingText(image, image.missing)] as const]),
    ...(image.pinned === undefined ? [] : [["pinned", `by ${image.pinned}`] as const]),
    ["held since", timeText(heldSince, nowMs)],
    ...(confirmedAt === undefined ? [] : [["confirmed", timeText(confirmedAt, nowMs)] as const]),
    ["last pull", lastPulledAt === undefined ? "never" : timeText(lastPulledAt, nowMs)],
    ["pulls", String(pulls)],
  ];
  return [
    printable(shortName({ ...image, tags: image.tags.slice(0, 1) })),
    ...facts.map(([label, text]) => factLine(label, text)),
    ...listed(
      "tags",
      image.tags.map((one) => tagText(one, image, nowMs)),
    ),
    ...listed("platforms", columns(image.platforms.map(platformCells))),
    ...listed("pulled by", columns((image.pullers ?? []).map((one) => pullerCells(one, nowMs)))),
  ]
    .map((line) => `${line}\n`)
    .join("");
}

function missingText(image: ImageAnswer, { contents, of, bytes }: NonNullable<ImageAnswer["missing"]>): string {
  const verb = contents === 1 ? "is" : "are";
  const what = `${contents} of ${counted(of, "blob")} ${verb} not held (${humanSize(bytes)})`;
  return `${what}: registry-cache warm ${nameToAsk(image)} fetches ${contents === 1 ? "it" : "them"}`;
}

/** By the first of its tags that points to it, else by digest. */
function nameToAsk({ repository, tags, digest }: ImageAnswer): string {
  const own = tags.find((one) => one.digest === digest);
  return own === undefined ? `${repository}@${digest}` : `${repository}:${own.tag}`;
}

function factLine(label: string, text: string): string {
  return `${" ".repeat(INDENT)}${label.padEnd(LABEL_WIDTH)}${printable(text)}`;
}

/** The label stands before the first of them. */
function listed(label: string, texts: readonly string[]): string[] {
  return texts.map((text, at) => factLine(at === 0 ? label : "", text));
}

type Tag = ImageAnswer["tags"][number];

function tagText({ tag, digest, heldAt, pulls }: Tag, image: ImageAnswer, nowMs: number): string {
  const platform = image.platforms.find((one) => one.digest === digest);
  const where = digest === image.digest || platform === undefined ? "" : `, leads to ${platformText(platform)}`;
  const found = image.tags.find((one) => one.tag === tag);
  const since = found === undefined ? "" : ` since ${humanAge(nowMs - Date.parse(found.firstSeenAt))}`;
  return `${tag}${since}, ${counted(pulls, "pull")}${where}${holdText(heldAt, digest)}`;
}

function holdText(heldAt: string | undefined, digest: string): string {
  if (heldAt === undefined) return "";
  return heldAt === digest ? ", held here" : `, but clients get ${heldAt}: it is held there`;
}

function platformCells(platform: ImageAnswer["platforms"][number]): string[] {
  const name = `${platform.os}/${platform.architecture}${platform.variant === undefined ? "" : `/${platform.variant}`}`;
  return [name, platform.isHeld ? humanSize(platform.size) : "not held", shortDigest(platform.digest)];
}

type Puller = NonNullable<ImageAnswer["pullers"]>[number];

function pullerCells({ name, pulls, lastPulledAt }: Puller, nowMs: number): string[] {
  return [name, counted(pulls, "pull"), `last ${timeText(lastPulledAt, nowMs)}`];
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((text, at) => text.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** Where a tag points, and has pointed. */
export function historyText({ image, heldAt, history }: HistoryAnswer, nowMs: number): string {
  const known = history.map(({ digest, firstSeenAt, confirmedAt, vanishedAt }) => [
    digest,
    `since ${timeText(firstSeenAt, nowMs)}`,
    vanishedAt === undefined ? `confirmed ${ago(confirmedAt, nowMs)}` : `gone upstream ${ago(vanishedAt, nowMs)}`,
    ...(digest === heldAt ? ["held here"] : []),
  ]);
  const hold =
    heldAt === undefined || history.some(({ digest }) => digest === heldAt)
      ? []
      : [`${" ".repeat(INDENT)}held at ${printable(heldAt)}`];
  const lines = known.map(([digest = "", ...facts]) => [
    `${" ".repeat(INDENT)}${printable(digest)}`,
    `${" ".repeat(INDENT * 2)}${facts.join(", ")}`,
  ]);
  return [printable(image), ...hold, ...lines.flat()].map((line) => `${line}\n`).join("");
}

function ago(at: string, nowMs: number): string {
  const age = humanAge(nowMs - Date.parse(at));
  return age === "just now" ? age : `${age} ago`;
}

/** `2026-11-26 12:00 UTC (3 h ago)`. */
export function timeText(at: string, nowMs: number): string {
  return `${at.slice(0, "2026-11-26".length)} ${at.slice("2026-11-26T".length, "2026-11-26T12:00".length)} UTC (${ago(at, nowMs)})`;
}

function counted(count: number, one: string): string {
  return `${count} ${count === 1 ? one : `${one}s`}`;
}
