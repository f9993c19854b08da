import type { LeavingContent } from "../../catalog/catalog.ts";

/**
 * What it would take to have an image again: `counted` its upstream counts pulls; `unreachable` the upstream cannot be had just
 * now; `gone` the upstream has it no more.
 */
export type Refetch = "easy" | "counted" | "unreachable" | "gone";

/** What speaks for and against an image. */
export interface Weighed {
  /** Since it was last pulled, milliseconds. */
  readonly idleMs: number;
  /** Its share of what it has: what several have is shared out evenly, since it comes back with the last of them. */
  readonly shareBytes: number;
  readonly refetch: Refetch;
  /** Somebody reads one of its blobs, or one of them is being fetched. */
  readonly isUnderWay: boolean;
}

/** In this order images go: one of a later group goes only where all of the earlier ones were not enough. */
export const GROUPS = ["ready", "unreachable", "gone", "under way"] as const;
export type Group = (typeof GROUPS)[number];

export function groupOf({ isUnderWay, refetch }: Weighed): Group {
  if (isUnderWay) return "under way";
  return refetch === "easy" || refetch === "counted" ? "ready" : refetch;
}

/** An image of an upstream that counts pulls is as worth keeping as one that was pulled in half that time. */
const COUNTED_FACTOR = 2;
const MIB = 1024 * 1024;

/**
 * The higher, the sooner it goes: time since the last pull, by half as much more for every tenfold of bytes above a mebibyte,
 * half of it where having it again costs a counted pull. It orders a few of the longest unused images among each other, so
 * that it is their age that counts most.
 */
export function scoreOf({ idleMs, shareBytes, refetch }: Weighed): number {
  const bySize = 1 + Math.log10(1 + shareBytes / MIB) / 2;
  return (Math.max(1, idleMs) * bySize) / (refetch === "counted" ? COUNTED_FACTOR : 1);
}

/** The one that shall go first is the first. */
export function inOrder<W extends Weighed>(images: readonly W[]): W[] {
  return images.toSorted((a, b) => scoreOf(b) - scoreOf(a));
}

/** What an image is worth to budgets, in bytes. */
export interface Worth {
  /** That come back. */
  readonly bytes: number;
  /** Of the registry's budget. */
  readonly registryBytes: number;
  readonly shareBytes: number;
}

/** Where so many of the links to some content have gone already. */
export function worthOf(
  contents: readonly LeavingContent[],
  goneLinks: (content: LeavingContent) => { readonly all: number; readonly registry: number } = () => NONE,
): Worth {
  let [bytes, registryBytes, shareBytes] = [0, 0, 0];
  for (const content of contents) {
    const { size, leaves } = content;
    const gone = goneLinks(content);
    const links = Math.max(leaves, content.links - gone.all);
    if (links === leaves) bytes += size;
    if (content.registryLinks - gone.registry <= leaves) registryBytes += size;
    shareBytes += (size * leaves) / links;
  }
  return { bytes, registryBytes, shareBytes };
}

const NONE = { all: 0, registry: 0 };
