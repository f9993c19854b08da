import { createRoute, z } from "@hono/zod-openapi";
import type { CountersView, Counts } from "../counters/counts.ts";
import type { HeldSummary, ImagesView } from "../images/image.ts";
import { ProblemError } from "../../server/problem.ts";
import { type ApiApp, bytesCount, iso, jsonOf, readRefusals, when } from "./common.ts";
import { countsSchema, sumOf } from "./counts.ts";
import type { RoomView, UpstreamState } from "./parts.ts";

export const upstreamSchema = z
  .object({
    isAvailable: z.boolean().openapi({ description: "False: it is taken for broken, and what is held is served." }),
    why: z.string().optional(),
    quota: z
      .object({
        limit: z.int().openapi({ description: "Pulls that it allows in a window of time." }),
        remaining: z.int(),
        windowSeconds: z.int(),
        seenAt: when,
        isSparing: z.boolean().openapi({ description: "Pulls are spared, since few are left (`quota_reserve`)." }),
      })
      .optional()
      .openapi({ description: "What it has said last of the pulls that are left; absent where it says nothing." }),
  })
  .openapi("UpstreamState");

const registrySchema = z
  .object({
    id: z.string().openapi({ example: "dockerhub" }),
    serves: z.string().openapi({ description: "The name that images carry.", example: "docker.io" }),
    url: z.string().openapi({ description: "Of the upstream.", example: "https://registry-1.docker.io" }),
    hostnames: z.array(z.string()).openapi({ description: "Host names of the cache that choose it." }),
    held: z.object({
      repositories: z.int(),
      images: z.int(),
      tags: z.int(),
      bytes: bytesCount.openapi({
        description: "Distinct contents; what several registries have counts for each of them.",
      }),
      maxBytes: bytesCount.optional().openapi({ description: "Its budget (`max_size`), where it has one." }),
    }),
    upstream: upstreamSchema,
    counts: countsSchema.openapi({ description: "Since the cache was set up." }),
  })
  .openapi("Registry");

export type RegistryAnswer = z.infer<typeof registrySchema>;

const list = createRoute({
  method: "get",
  operationId: "listRegistries",
  path: "/api/v1/registries",
  summary: "The registries that are enabled",
  tags: ["What is held"],
  responses: {
    200: jsonOf(z.object({ registries: z.array(registrySchema) }), "In the order of the configuration."),
    ...readRefusals(),
  },
});

const one = createRoute({
  method: "get",
  operationId: "getRegistry",
  path: "/api/v1/registries/{id}",
  summary: "One registry",
  tags: ["What is held"],
  request: { params: z.object({ id: z.string().openapi({ example: "dockerhub" }) }) },
  responses: { 200: jsonOf(registrySchema, "By its id."), ...readRefusals(404) },
});

/** What must be known of a configured registry. */
export interface ToldRegistry {
  readonly id: string;
  readonly serves: string;
  readonly upstream: string;
  readonly hostnames: readonly string[];
}

export interface RegistriesParts {
  readonly registries: readonly ToldRegistry[];
  /** Names of private repositories are no part of sums. */
  readonly images: Pick<ImagesView, "registries">;
  readonly counters: Pick<CountersView, "total">;
  readonly room: RoomView;
  readonly upstreams: () => ReadonlyMap<string, UpstreamState>;
}

export function registriesResource(app: ApiApp, parts: RegistriesParts): void {
  app.openapi(list, async (c) => c.json({ registries: await registriesOf(parts) }, 200));
  app.openapi(one, async (c) => {
    const { id } = c.req.valid("param");
    const found = (await registriesOf(parts)).find((registry) => registry.id === id);
    if (found !== undefined) return c.json(found, 200);
    const known = parts.registries.map((registry) => registry.id).join(", ");
    throw new ProblemError(404, `there is no registry ${JSON.stringify(id)} here; there are ${known}`);
  });
}

async function registriesOf({
  registries,
  images,
  counters,
  room,
  upstreams,
}: RegistriesParts): Promise<RegistryAnswer[]> {
  const [held, total, { byRegistry }] = await Promise.all([images.registries(), counters.total(), room.now()]);
  const states = upstreams();
  return registries.map(({ id, serves, upstream: url, hostnames }) => {
    const summary = held.find(({ registryId }) => registryId === id);
    const counts = total.find(({ registryId }) => registryId === id)?.counts;
    const maxBytes = byRegistry.get(id)?.maxBytes;
    return {
      id,
      serves,
      url,
      hostnames: [...hostnames],
      held: { ...heldOf(summary), ...(maxBytes === undefined ? {} : { maxBytes }) },
      upstream: upstreamOf(states.get(id)),
      counts: counts ?? NOTHING,
    };
  });
}

const NOTHING: Counts = sumOf([]);

function heldOf(summary: HeldSummary | undefined) {
  const { repositories = 0, images = 0, tags = 0, bytes = 0 } = summary ?? {};
  return { repositories, images, tags, bytes };
}

export function upstreamOf(state: UpstreamState | undefined): z.infer<typeof upstreamSchema> {
  const { isAvailable = true, why, quota } = state ?? {};
  return {
    isAvailable,
    ...(why === undefined ? {} : { why }),
    ...(quota === undefined
      ? {}
      : {
          quota: {
            limit: quota.limit,
            remaining: quota.remaining,
            windowSeconds: quota.windowSeconds,
            seenAt: iso(quota.seenAtMs),
            isSparing: quota.isSparing,
          },
        }),
  };
}
