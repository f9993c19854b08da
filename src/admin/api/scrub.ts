import { createRoute, z } from "@hono/zod-openapi";
import { ProblemError } from "../../server/problem.ts";
import { actRefusals, type ApiApp, bytesCount, jsonOf, readRefusals, when } from "./common.ts";
import { optionalTime } from "./images.ts";
import type { Scrubbing, ScrubState } from "./parts.ts";

const PATH = "/api/v1/scrub";
const tags = ["Scrubbing"];

const stateSchema = z
  .object({
    isRunning: z.boolean(),
    blobsDone: z.int(),
    blobs: z.int(),
    bytesDone: bytesCount,
    bytes: bytesCount,
    damaged: z
      .int()
      .openapi({ description: "Stored contents that were not what their digest says; they were taken away." }),
    healed: z.int().openapi({ description: "Those of them that were fetched anew." }),
    startedAt: when.optional(),
    finishedAt: when.optional().openapi({ description: "When it last came to the end." }),
  })
  .openapi("Scrub");

export type ScrubAnswer = z.infer<typeof stateSchema>;

/** Slower than this it would never end; faster than any disk is. */
const RATE_MIN = 1024;
const RATE_MAX = 1024 ** 4;

const scrubRequest = z
  .strictObject({
    bytesPerSecond: z
      .int()
      .min(RATE_MIN)
      .max(RATE_MAX)
      .optional()
      .openapi({ description: "How fast it reads at most; by default 50 MiB a second." }),
  })
  .openapi("ScrubRequest");

const look = createRoute({
  method: "get",
  operationId: "getScrub",
  path: PATH,
  summary: "How far the scrub is",
  tags,
  responses: { 200: jsonOf(stateSchema, "At this moment."), ...readRefusals() },
});

const start = createRoute({
  method: "post",
  operationId: "startScrub",
  path: PATH,
  summary: "Hash all that is stored",
  description: "At a bounded rate, beside the pulls. It goes on where the one before was stopped.",
  tags,
  request: { body: { content: { "application/json": { schema: scrubRequest } }, required: true } },
  responses: { 202: jsonOf(stateSchema, "It has begun."), ...actRefusals(400, 409) },
});

const stop = createRoute({
  method: "delete",
  operationId: "stopScrub",
  path: PATH,
  summary: "Stop the scrub",
  description: "The next one goes on from there.",
  tags,
  responses: { 200: jsonOf(stateSchema, "It has stopped."), ...actRefusals(409) },
});

export function scrubResource(app: ApiApp, scrubbing: Scrubbing): void {
  app.openapi(look, (c) => c.json(toldScrub(scrubbing.state()), 200));
  app.openapi(start, (c) => {
    if (!scrubbing.start(c.req.valid("json").bytesPerSecond))
      throw new ProblemError(409, "a scrub is under way already");
    return c.json(toldScrub(scrubbing.state()), 202);
  });
  app.openapi(stop, (c) => {
    if (!scrubbing.stop()) throw new ProblemError(409, "no scrub is under way");
    return c.json(toldScrub(scrubbing.state()), 200);
  });
}

function toldScrub({ startedAtMs, finishedAtMs, ...state }: ScrubState): z.infer<typeof stateSchema> {
  return { ...state, ...optionalTime("startedAt", startedAtMs), ...optionalTime("finishedAt", finishedAtMs) };
}
