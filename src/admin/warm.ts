import type { Logger } from "pino";
import { z } from "zod";
import { LATE, within } from "../lib/wait.ts";
import { imageNameText, type NamedRegistry, parseImageName } from "../oci/image-name.ts";
import { type KeepFresh, KeepFreshFullError } from "../upkeep/warm/keep-fresh.ts";
import { parsePlatform } from "../upkeep/warm/platforms.ts";
import { type WarmImage, type WarmPull, WarmRun } from "../upkeep/warm/warm.ts";
import type { ControlAnswer, ControlRoutes } from "./control.ts";
import { badRequest, ProblemError } from "./problem.ts";

const REFERENCES_MAX = 1_000;
const REFERENCE_LENGTH_MAX = 1_024;
const PLATFORMS_MAX = 20;
const CONCURRENCY_MAX = 32;
const CONCURRENCY_DEFAULT = 4;
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

export interface WarmRoutesOptions {
  readonly registries: readonly NamedRegistry[];
  readonly pull: WarmPull;
  readonly keepFresh: KeepFresh;
  readonly log: Logger;
}

const reference = z.string().min(1).max(REFERENCE_LENGTH_MAX);
const platforms = z.union([
  z.literal("all"),
  z
    .array(z.string().refine((text) => parsePlatform(text) !== undefined, "is no platform such as linux/amd64"))
    .min(1)
    .max(PLATFORMS_MAX)
    .transform((all) => all.map((text) => text.toLowerCase())),
]);
const warmRequest = z.strictObject({
  references: z.array(reference).min(1).max(REFERENCES_MAX),
  platforms,
  concurrency: z.int().min(1).max(CONCURRENCY_MAX).default(CONCURRENCY_DEFAULT),
  keepFresh: z.boolean().default(false),
});
const forgetRequest = z.strictObject({ references: z.array(reference).min(1).max(REFERENCES_MAX) });
type WarmRequest = z.infer<typeof warmRequest>;

/** Warming, and what is kept fresh. */
export function warmRoutes(options: WarmRoutesOptions): ControlRoutes {
  const { keepFresh } = options;
  let runs = 0;
  return {
    "/api/v1/warm": {
      POST: async ({ body, signal }) => {
        const request = parsed(warmRequest, body);
        if (runs >= RUNS_MAX)
          throw new ProblemError(503, "Service Unavailable", `${RUNS_MAX} runs are under way already`);
        const lines = warmed(options, request, signal, (by) => {
          runs += by;
        });
        return { lines };
      },
    },
    "/api/v1/keep-fresh": {
      GET: async () => await listOf(keepFresh),
      DELETE: async ({ body }) => {
        const { references } = parsed(forgetRequest, body);
        const names = references.map((text) => canonical(text, options.registries));
        return { status: 200, body: { removed: await keepFresh.remove(names) } };
      },
    },
  };
}

async function listOf(keepFresh: KeepFresh): Promise<ControlAnswer> {
  return { status: 200, body: { images: await keepFresh.list() } };
}

function parsed<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw badRequest(`${issue?.path.join(".") || "the body"}: ${issue?.message ?? "is wrong"}`);
}

async function* warmed(
  { registries, pull, keepFresh, log }: WarmRoutesOptions,
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
