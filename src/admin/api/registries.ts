import { createRoute, z } from "@hono/zod-openapi";
import type { CountersView, Counts } from "../counters/counts.ts";
import type { HeldSummary, ImagesView } from "../images/image.ts";
import { ProblemError } from "../../server/problem.ts";
import { type ApiApp, bytesCount, iso, jsonOf, readRefusals, when } from "./common.ts";
import { countsSchema, sumOf } from "./counts.ts";
import type { RoomView } from "./parts.ts";
import type { QuotaState, QuotaVerdict, Upstream } from "../../upstream/upstream.ts";

const places = z.object({ running: z.int(), waiting: z.int() });

export const upstreamSchema = z
  .object({
    state: z.enum(["available", "broken", "rate-limited"]).openapi({
      description: "`broken` and `rate-limited`: what is held is served, and nothing is asked for a while.",
    }),
    askedAgainInSeconds: z
      .number()
      .optional()
      .openapi({ description: "Where nothing is asked; 0: the next question finds out." }),
    quota: z
      .object({
        limit: z.int().openapi({ description: "Pulls that it allows in a window of time." }),
        remaining: z.int(),
        windowSeconds: z.int(),
        seenAt: when,
        verdict: z.enum(["plenty", "low", "spent"]).openapi({
          description:
            "`low`: few are left, and are spared (`quota_reserve`); `spent`: what is held is served, and nothing else.",
        }),
      })
      .optional()
      .openapi({ description: "What it has said last of the pulls that are left; absent where it says nothing." }),
    questions: places.openapi({ description: "Questions to it that are under way, and that wait for their turn." }),
    transfers: places.openapi({ description: "Transfers of blobs." }),
    bytesPerSecond: z.number().openapi({ description: "What has come from it over the last seconds." }),
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

const single = createRoute({
  method: "get",
  operationId: "getRegistry",
  path: "/api/v1/registries/{id}",
  summary: "One registry",
  tags: ["What is held"],
  request: {
    params: z.object({ id: z.string().openapi({ description: "As in the configuration.", example: "dockerhub" }) }),
  },
  responses: { 200: jsonOf(registrySchema, "By its id."), ...readRefusals(404) },
});

/** What must be known of a configured registry. */
export interface ToldRegistry {
  readonly id: string;
  readonly serves: string;
  readonly upstream: string;
  readonly hostnames: readonly string[];
  /** Whether clients' own credentials are passed to it. */
  readonly passThrough: boolean;
}

export interface RegistriesParts {
  readonly registries: readonly ToldRegistry[];
  /** Names of private repositories are no part of sums. */
  readonly images: Pick<ImagesView, "registries">;
  readonly counters: Pick<CountersView, "total">;
  readonly room: RoomView;
  readonly upstreams: UpstreamStates;
}

export function registriesResource(app: ApiApp, parts: RegistriesParts): void {
  app.openapi(list, async (c) => c.json({ registries: await registriesOf(parts, c.env.signal) }, 200));
  app.openapi(single, async (c) => {
    const { id } = c.req.valid("param");
    const found = (await registriesOf(parts, c.env.signal)).find((registry) => registry.id === id);
    if (found !== undefined) return c.json(found, 200);
    const known = parts.registries.map((registry) => registry.id).join(", ");
    throw new ProblemError(404, `there is no registry ${JSON.stringify(id)} here; there are ${known}`);
  });
}

async function registriesOf(
  { registries, images, counters, room, upstreams }: RegistriesParts,
  signal: AbortSignal,
): Promise<RegistryAnswer[]> {
  const [held, total, { byRegistry }] = await Promise.all([images.registries(signal), counters.total(), room.now()]);
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
      upstream: upstreamOf(upstreams, id),
      counts: counts ?? NOTHING,
    };
  });
}

const NOTHING: Counts = sumOf([]);

function heldOf(summary: HeldSummary | undefined) {
  const { repositories = 0, images = 0, tags = 0, bytes = 0 } = summary ?? {};
  return { repositories, images, tags, bytes };
}

/** What upstreams are asked for. */
export type UpstreamStates = ReadonlyMap<string, Pick<Upstream, "state">>;

const IDLE = { running: 0, waiting: 0 };

export function upstreamOf(states: UpstreamStates, id: string): z.infer<typeof upstreamSchema> {
  const state = states.get(id)?.state();
  if (state === undefined) return { state: "available", questions: IDLE, transfers: IDLE, bytesPerSecond: 0 };
  const { breaker, quota, questions, transfers, parts } = state;
  const isOpen = breaker.kind === "open";
  return {
    state: !isOpen ? "available" : breaker.because === "failures" ? "broken" : "rate-limited",
    ...(isOpen ? { askedAgainInSeconds: Math.ceil(breaker.forMs / MS_PER_S) } : {}),
    ...(quota.seen === undefined ? {} : { quota: quotaOf(quota.verdict, quota.seen) }),
    questions,
    transfers: { running: transfers.running + parts.running, waiting: transfers.waiting + parts.waiting },
    bytesPerSecond: Math.round(state.bytesPerSecond),
  };
}

const MS_PER_S = 1000;

function quotaOf(verdict: QuotaVerdict, { limit, remaining, windowS, atMs }: NonNullable<QuotaState["seen"]>) {
  return { limit, remaining, windowSeconds: windowS, seenAt: iso(atMs), verdict };
}
