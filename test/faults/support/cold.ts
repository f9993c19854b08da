import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { FakeContent, FakeImage } from "../../support/fake-upstream.ts";
import { type Ending, pull } from "./ending.ts";
import { inForm } from "./fault.ts";
import type { Site } from "./sites.ts";

/** How many ask for the same at once. */
const CLIENTS = inForm({ short: 2, long: 20 });

/** What is asked for while an upstream is broken, by what is known of it. */
export interface ColdEndings {
  /** A manifest by a tag that is not held. */
  readonly manifest: readonly Ending[];
  /** 300 kB of which nothing is known. */
  readonly large: readonly Ending[];
  /** 2 kB of which nothing is known: no byte of it is seen before it is verified. */
  readonly small: readonly Ending[];
  /** 300 kB whose size a held manifest says. */
  readonly named: readonly Ending[];
  /** A held tag that upstream is to confirm. */
  readonly stale: readonly Ending[];
}

/** All at once, from several clients each. */
export async function pullAll(site: Site): Promise<ColdEndings> {
  const { cold, named, moving, url } = site;
  const crowd = async (one: string, bytes: Uint8Array) =>
    await Promise.all(Array.from({ length: CLIENTS }, async () => await pull(one, bytes)));
  const [manifest, large, small, known, stale] = await Promise.all([
    crowd(`${url}/manifests/cold`, cold.bytes),
    crowd(blobUrl(site, largeOf(cold)), largeOf(cold).bytes),
    crowd(blobUrl(site, smallOf(cold)), smallOf(cold).bytes),
    crowd(blobUrl(site, largeOf(named)), largeOf(named).bytes),
    crowd(moving.url, moving.bytes),
  ]);
  return { manifest, large, small, named: known, stale };
}

export function blobUrl(site: Site, { digest }: FakeContent): string {
  return `${site.url}/blobs/${digest}`;
}

export function smallOf(image: FakeImage): FakeContent {
  return image.layers[0] as FakeContent;
}

export function largeOf(image: FakeImage): FakeContent {
  return image.layers[1] as FakeContent;
}

/** Once upstream is well: as a patient client, which comes again when it is told to. */
export async function untilRight(url: string, bytes: Uint8Array, withinMs: number): Promise<number> {
  const startedMs = performance.now();
  for (;;) {
    const { how, retryAfterS } = await pull(url, bytes);
    const afterMs = performance.now() - startedMs;
    if (how === "right") return afterMs;
    assert.ok(afterMs < withinMs, `still ${how} after ${Math.round(afterMs)} ms`);
    await delay((retryAfterS ?? 1) * 1000);
  }
}
