import { createRoute, z } from "@hono/zod-openapi";
import { ProblemError } from "../../server/problem.ts";
import { actRefusals, type ApiApp, bytesCount, jsonOf, readRefusals } from "./common.ts";
import type { ReindexNow, Reindexes } from "./parts.ts";

const PATH = "/api/v1/reindex";
const tags = ["Scrubbing"];

const problemSchema = z.object({
  kind: z.string().openapi({ example: "missing-blob" }),
  repository: z.string().openapi({ example: "docker.io/library/nginx" }),
  digest: z.string().optional(),
  tag: z.string().optional(),
  name: z.string().optional().openapi({ description: "Of a damaged link: the digest or the tag that it belongs to." }),
  reason: z.string().optional(),
});

const reportSchema = z.object({
  repositories: z.int(),
  manifests: z.int(),
  tags: z.int(),
  blobs: z.int(),
  bytes: bytesCount,
  problems: z.array(problemSchema).openapi({ description: "What was passed over; of very many the first ones." }),
  problemCount: z.int(),
});

const stateSchema = z
  .object({
    isRunning: z.boolean(),
    repositories: z.int().openapi({ description: "That were read until now." }),
    report: reportSchema.optional().openapi({ description: "What the last one has found, once it is over." }),
    failure: z.string().optional().openapi({ description: "Why the last one did not come to its end." }),
  })
  .openapi("Reindex");

const look = createRoute({
  method: "get",
  operationId: "getReindex",
  path: PATH,
  summary: "How far the rebuild of the catalog is",
  tags,
  responses: { 200: jsonOf(stateSchema, "At this moment."), ...readRefusals() },
});

const start = createRoute({
  method: "post",
  operationId: "startReindex",
  path: PATH,
  summary: "Rebuild the catalog from the store",
  description: "Beside the pulls. What is stored is not touched, and pulls do not wait for it.",
  tags,
  responses: { 202: jsonOf(stateSchema, "It has begun."), ...actRefusals(409) },
});

export function reindexResource(app: ApiApp, reindexes: Reindexes): void {
  app.openapi(look, (c) => c.json(told(reindexes.state(), c.env.caller.isAdmin), 200));
  app.openapi(start, (c) => {
    if (!reindexes.start()) throw new ProblemError(409, "the catalog is being rebuilt already");
    return c.json(told(reindexes.state(), true), 202);
  });
}

/** Lists may leave repositories out for whoever is no admin, so their problems are told to admins alone. */
function told({ isRunning, repositories, report, failure }: ReindexNow, isAdmin: boolean): z.infer<typeof stateSchema> {
  return {
    isRunning,
    repositories,
    ...(report === undefined ? {} : { report: { ...report, problems: isAdmin ? [...report.problems] : [] } }),
    ...(failure === undefined ? {} : { failure }),
  };
}
