import { createRoute, z } from "@hono/zod-openapi";
import { repositoryPath } from "../../oci/reference.ts";
import { badRequest, ProblemError } from "../../server/problem.ts";
import type { Why } from "../../upkeep/evict/clear.ts";
import type { Evicted } from "../../upkeep/evict/hands.ts";
import { actRefusals, type ApiApp, bytesCount, digestText, iso, jsonOf, readRefusals, when } from "./common.ts";
import { registryIdOf } from "./images.ts";
import type { Evicting, Eviction } from "./parts.ts";

const IMAGES_MAX = 1_000;
const IMAGE_LENGTH_MAX = 1_024;

const REASONS = ["budget", "registry budget", "disk", "age", "asked", "nobody's"] as const satisfies readonly Why[];

const going = z.object({
  registry: z.string().openapi({ description: "By id." }),
  repository: z.string().openapi({ example: "docker.io/library/nginx" }),
  digest: digestText.optional().openapi({ description: "Absent for blobs that no image has." }),
  tags: z.array(z.string()),
  bytes: bytesCount.openapi({ description: "Bytes that come back." }),
  reason: z.enum(REASONS).openapi({
    description:
      "`budget`, `registry budget`: `max_size`; `disk`: `min_free_disk`; `age`: `max_age`; `asked`: by somebody; `nobody's`: no image has it.",
  }),
  lastUsedAt: when,
});

const evictionSchema = z
  .object({
    images: z.array(going).openapi({ description: "In the order in which they go; of many the first ones." }),
    imageCount: z.int().openapi({ description: "All of them." }),
    bytes: bytesCount.openapi({ description: "Bytes that come back in all." }),
    kept: z.array(z.object({ image: z.string(), why: z.string() })).openapi({
      description: "What was meant and stays, and why; of many the first ones.",
    }),
    orphans: z.object({ count: z.int(), bytes: bytesCount }).openapi({
      description:
        "Among them what no image has: stored bytes without a repository, left by a crash, and blobs that no held image names.",
    }),
    lackingBytes: bytesCount.openapi({
      description: "Bytes that are above budgets or the reserve of the disk all the same, since pins keep the rest.",
    }),
  })
  .openapi("Eviction");

export type EvictionAnswer = z.infer<typeof evictionSchema>;

const tags = ["Eviction"];

const evict = createRoute({
  method: "post",
  operationId: "evict",
  path: "/api/v1/evict",
  summary: "Take images away",
  description: "The next pull of them fetches them anew. What is pinned stays, and what other images need.",
  tags,
  request: {
    body: {
      required: true,
      content: {
        "application/json": {
          schema: z
            .strictObject({
              images: z
                .array(z.string().min(1).max(IMAGE_LENGTH_MAX))
                .max(IMAGES_MAX)
                .default([])
                .openapi({
                  description: "Images and globs over images.",
                  example: ["nginx:1.25", "ghcr.io/org/**:pr-*"],
                }),
              registry: z
                .string()
                .optional()
                .openapi({ description: "All that is held of one registry, by id or by the name that images carry." }),
              dryRun: z.boolean().default(false).openapi({ description: "Only tell what would go." }),
            })
            .openapi("EvictRequest"),
        },
      },
    },
  },
  responses: { 200: jsonOf(evictionSchema, "What has gone, or would go."), ...actRefusals(400) },
});

const plan = createRoute({
  method: "get",
  operationId: "planPrune",
  path: "/api/v1/prune",
  summary: "What would go by budgets and ages now, and why",
  description: "For admins alone: it looks at all images, private ones too.",
  tags,
  responses: { 200: jsonOf(evictionSchema, "Nothing has gone by this."), ...readRefusals() },
});

const prune = createRoute({
  method: "post",
  operationId: "prune",
  path: "/api/v1/prune",
  summary: "Let go what goes by budgets and ages",
  description: "It happens by itself as well; this is for those who do not want to wait.",
  tags,
  responses: { 200: jsonOf(evictionSchema, "What has gone."), ...actRefusals() },
});

export interface EvictParts {
  readonly registries: Parameters<typeof registryIdOf>[1];
  readonly evicting: Evicting;
}

export function evictResource(app: ApiApp, { registries, evicting }: EvictParts): void {
  app.openapi(evict, async (c) => {
    const { images, registry, dryRun: isDryRun } = c.req.valid("json");
    if ((images.length === 0) === (registry === undefined)) {
      throw badRequest("say either images or a registry", [
        { pointer: "#/images", detail: "or registry, and not both" },
      ]);
    }
    const registryId = registryIdOf(registry, registries, { pointer: "#/registry" });
    return c.json(toldEviction(await evicting.evict({ images, registryId, isDryRun })), 200);
  });
  app.openapi(plan, async (c) => {
    if (!c.env.caller.isAdmin) throw new ProblemError(403, "what would go is told to admins alone");
    return c.json(toldEviction(await evicting.plan()), 200);
  });
  app.openapi(prune, async (c) => c.json(toldEviction(await evicting.prune()), 200));
}

function toldEviction({ images, imageCount, bytes, kept, orphans, lackingBytes }: Eviction): EvictionAnswer {
  return {
    images: images.map(toldGoing),
    imageCount,
    bytes,
    kept: kept.map(({ image, why }) => ({ image, why })),
    orphans: { ...orphans },
    lackingBytes,
  };
}

function toldGoing({ repository, digest, tags: all, bytes, why, lastUsedAtMs }: Evicted): z.infer<typeof going> {
  return {
    registry: repository.registryId,
    repository: repositoryPath(repository),
    ...(digest === undefined ? {} : { digest }),
    tags: [...all],
    bytes,
    reason: why,
    lastUsedAt: iso(lastUsedAtMs),
  };
}
