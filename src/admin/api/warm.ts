import { createRoute, z } from "@hono/zod-openapi";
import { parsePlatform } from "../../upkeep/warm/platforms.ts";
import type { Warming } from "../warm.ts";
import { actRefusals, type ApiApp, bytesCount, iso, jsonOf, readRefusals, when } from "./common.ts";
import { ndjson } from "./streams.ts";

const REFERENCES_MAX = 1_000;
const REFERENCE_LENGTH_MAX = 1_024;
const PLATFORMS_MAX = 20;
const CONCURRENCY_MAX = 32;
const CONCURRENCY_DEFAULT = 4;

const reference = z.string().min(1).max(REFERENCE_LENGTH_MAX).openapi({ example: "nginx:1.27" });
const references = z.array(reference).min(1).max(REFERENCES_MAX);
const platforms = z.union([
  z.literal("all"),
  z
    .array(z.string().refine((text) => parsePlatform(text) !== undefined, "is no platform such as linux/amd64"))
    .min(1)
    .max(PLATFORMS_MAX)
    .transform((all) => all.map((text) => text.toLowerCase()))
    .openapi({ type: "array", items: { type: "string" }, example: ["linux/amd64"] }),
]);

const warmRequest = z
  .strictObject({
    references,
    platforms: platforms.openapi({ description: "Of images for several: which of them, or `all`." }),
    concurrency: z.int().min(1).max(CONCURRENCY_MAX).default(CONCURRENCY_DEFAULT).openapi({
      description: "Images, and blobs over all of them, at once.",
    }),
    keepFresh: z
      .boolean()
      .default(false)
      .openapi({ description: "Whether they are refreshed again and again from now on." }),
  })
  .openapi("WarmRequest");

const warmImage = z.object({
  reference: z.string(),
  state: z.enum(["waiting", "running", "done", "failed"]),
  repository: z.string().optional().openapi({ example: "docker.io/library/nginx" }),
  digest: z.string().optional(),
  bytes: bytesCount,
  bytesThere: bytesCount,
  blobs: z.int(),
  blobsFetched: z.int(),
  stale: z.string().optional().openapi({ description: "Upstream could not be asked, and why." }),
  error: z.object({ status: z.int(), code: z.string(), message: z.string() }).optional(),
});

export const warmEvent = z
  .object({
    images: z.array(warmImage).openapi({ description: "Those of which there is news." }),
    isOver: z
      .literal(true)
      .optional()
      .openapi({ description: "With the last line; without it the run was cut short." }),
    keptFresh: z.int().optional(),
    problem: z.string().optional().openapi({ description: "Why none of them are kept fresh." }),
  })
  .openapi("WarmEvent");

const warm = createRoute({
  method: "post",
  operationId: "warm",
  path: "/api/v1/warm",
  summary: "Pull images ahead of time",
  description:
    "The answer is one line of JSON (`WarmEvent`) after the other, as things happen. Whoever stops reading ends the run; what has come stays.",
  tags: ["Warming"],
  request: { body: { required: true, content: { "application/json": { schema: warmRequest } } } },
  responses: {
    200: { description: "Lines of JSON.", content: { "application/x-ndjson": { schema: warmEvent } } },
    ...actRefusals(400, 503),
  },
});

const kept = z
  .object({
    reference: z.string().openapi({ example: "docker.io/library/nginx:1.27" }),
    platforms: z.union([z.literal("all"), z.array(z.string())]),
    last: z.object({ at: when, error: z.string().optional() }).optional().openapi({
      description: "What became of it the last time; absent where it was not refreshed since the start.",
    }),
  })
  .openapi("KeptFresh");

const list = createRoute({
  method: "get",
  operationId: "listKeptFresh",
  path: "/api/v1/keep-fresh",
  summary: "Images that are refreshed again and again",
  tags: ["Warming"],
  responses: { 200: jsonOf(z.object({ images: z.array(kept) }), "All of them."), ...readRefusals() },
});

const forget = createRoute({
  method: "delete",
  operationId: "forgetKeptFresh",
  path: "/api/v1/keep-fresh",
  summary: "Keep images fresh no longer",
  description: "What is held stays.",
  tags: ["Warming"],
  request: {
    body: {
      required: true,
      content: { "application/json": { schema: z.strictObject({ references }).openapi("ForgetRequest") } },
    },
  },
  responses: {
    200: jsonOf(z.object({ removed: z.array(z.string()) }), "Those that were kept fresh until now."),
    ...actRefusals(400),
  },
});

export function warmResource(app: ApiApp, warming: Warming): void {
  // The library's types know no lines of JSON.
  app.openapi(warm, (c) => ndjson(warming.run(c.req.valid("json"), c.env.signal)) as never);
  app.openapi(list, async (c) => {
    const images = (await warming.keptFresh()).map(({ last, ...image }) => ({
      ...image,
      platforms: image.platforms === "all" ? ("all" as const) : [...image.platforms],
      ...(last === undefined
        ? {}
        : { last: { at: iso(last.atMs), ...(last.error === undefined ? {} : { error: last.error }) } }),
    }));
    return c.json({ images }, 200);
  });
  app.openapi(forget, async (c) =>
    c.json({ removed: [...(await warming.forget(c.req.valid("json").references))] }, 200),
  );
}
