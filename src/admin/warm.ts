import type { Logger } from "pino";
import { LATE, within } from "../lib/wait.ts";
import { imageNameText, type NamedRegistry, parseImageName } from "../oci/image-name.ts";
import { ProblemError } from "../server/problem.ts";
import { type KeepFresh, KeepFreshFullError, type RefreshOutcome } from "../upkeep/warm/keep-fresh.ts";
import type { KeptFresh } from "../upkeep/warm/keep-fresh-list.ts";
import type { Platforms } from "../upkeep/warm/platforms.ts";
import { type WarmImage, type WarmPull, WarmRun } from "../upkeep/warm/warm.ts";

/** Runs at once. */
const RUNS_MAX = 4;
const PROGRESS_EVERY_MS = 250;

/** One line of `POST /api/v1/warm`; the images are those of which there is news. */
export interface WarmEvent {
  readonly images: readonly WarmImage[];
  /** With the last one. */
  readonly isOver?: true;
  /** With it, where that was wanted: how many of them are kept fresh from now on. */
  readonly keptFresh?: number;
  /** And why none of them are. */
  readonly problem?: string;
}

export interface WarmingOptions {
  readonly registries: readonly NamedRegistry[];
  readonly pull: WarmPull;
  readonly keepFresh: KeepFresh;
  readonly log: Logger;
}

export interface WarmRequest {
  readonly references: readonly string[];
  readonly platforms: Platforms;
  readonly concurrency: number;
  readonly keepFresh: boolean;
}

/** Warming as it is asked for from outside, and what is kept fresh. */
export class Warming {
  readonly #o: WarmingOptions;
  #runs = 0;

  constructor(options: WarmingOptions) {
    this.#o = options;
  }

  /** Rejects at once, with a `ProblemError`, where too many runs are under way. */
  run(request: WarmRequest, signal: AbortSignal): AsyncIterable<WarmEvent> {
    if (this.#runs >= RUNS_MAX) {
      const headers = { "Retry-After": "60" };
      throw new ProblemError(503, `${RUNS_MAX} runs are under way already`, { headers });
    }
    return warmed(this.#o, request, signal, (by) => {
      this.#runs += by;
    });
  }

  async keptFresh(): Promise<readonly (KeptFresh & { readonly last?: RefreshOutcome | undefined })[]> {
    return await this.#o.keepFresh.list();
  }

  /** Says which of them were kept fresh. */
  async forget(references: readonly string[]): Promise<readonly string[]> {
    return await this.#o.keepFresh.remove(references.map((text) => canonical(text, this.#o.registries)));
  }
}

async function* warmed(
  { registries, pull, keepFresh, log }: WarmingOptions,
  request: WarmRequest,
  signal: AbortSignal,
  count: (by: 1 | -1) => void,
): AsyncGenerator<WarmEvent> {
  count(1);
  // Whoever stops listening ends the run, in whatever way.
  const ending = new AbortController();
  try {
    const run = new WarmRun({ ...request, registries, pull, signal: AbortSignal.any([signal, ending.signal]) });
    const running = run.run();
    running.catch(() => undefined);
    const told = new Map<string, string>();
    for (let isRunning = true; isRunning;) {
      isRunning = (await within(running, PROGRESS_EVERY_MS)) === LATE;
      const news = run.images.filter((image) => isNews(image, told));
      if (isRunning && news.length > 0) yield { images: news };
      if (isRunning) continue;
      const kept = request.keepFresh ? await register(keepFresh, registries, run.images, request) : {};
      yield { images: news, isOver: true, ...kept };
    }
    tell(log, run.images);
  } finally {
    ending.abort(new Error("nobody listens any more"));
    count(-1);
  }
}

function tell(log: Logger, images: readonly WarmImage[]): void {
  for (const { reference: what, error } of images)
    if (error !== undefined) log.warn({ reference: what, reason: error.message }, "an image could not be warmed");
  const done = images.filter(({ state }) => state === "done");
  const fetched = done.reduce((sum, { blobsFetched }) => sum + blobsFetched, 0);
  log.info({ images: done.length, failed: images.length - done.length, blobs: fetched }, "images were warmed");
}

function isNews(image: WarmImage, told: Map<string, string>): boolean {
  const text = JSON.stringify(image);
  if (text === told.get(image.reference)) return false;
  told.set(image.reference, text);
  return image.state !== "waiting";
}

/** What failed is not tried for ever, since it may be misspelt; a digest stays what it is. */
async function register(
  keepFresh: KeepFresh,
  registries: readonly NamedRegistry[],
  images: readonly WarmImage[],
  { platforms: wanted }: WarmRequest,
): Promise<Pick<WarmEvent, "keptFresh" | "problem">> {
  const done = images.filter(({ state }) => state === "done").map(({ reference: text }) => text);
  const names = done.filter((text) => !text.includes("@")).map((text) => canonical(text, registries));
  try {
    await keepFresh.add(names.map((text) => ({ reference: text, platforms: wanted })));
    return { keptFresh: names.length };
  } catch (error) {
    if (!(error instanceof KeepFreshFullError)) throw error;
    return { problem: error.message };
  }
}

/** The one way to write it, or what was written where that is none. */
function canonical(text: string, registries: readonly NamedRegistry[]): string {
  const name = parseImageName(text, registries);
  return "problem" in name ? text : imageNameText(name);
}
