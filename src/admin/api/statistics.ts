import { createRoute, z } from "@hono/zod-openapi";
import { badRequest } from "../../server/problem.ts";
import type { CountersView, RegistryCounts } from "../counters/counts.ts";
import { type ApiApp, jsonOf, readRefusals } from "./common.ts";
import { countsSchema, sumOf } from "./counts.ts";
import { registryIdOf } from "./images.ts";

/** Counters of days are kept a little longer than a year. */
const DAYS_MAX = 400;
const MS_PER_DAY = 24 * 60 * 60 * 1000;
const DAYS_DEFAULT = 30;

const day = z.iso.date().openapi({ description: "Of UTC.", example: "2026-11-26" });
const counted = z.object({ registry: z.string().openapi({ description: "By id." }), counts: countsSchema });

const route = createRoute({
  method: "get",
  operationId: "getStatistics",
  path: "/api/v1/statistics",
  summary: "What has happened, by day and registry",
  description: "They survive restarts. All that happened up to the question is in them.",
  tags: ["What has happened"],
  request: {
    query: z.strictObject({
      from: day
        .optional()
        .openapi({ description: `The first day, of UTC; by default ${DAYS_DEFAULT - 1} days before \`to\`.` }),
      to: day.optional().openapi({ description: "The last day; by default today." }),
      registry: z.string().optional().openapi({ description: "Only this one, by id.", example: "dockerhub" }),
    }),
  },
  responses: {
    200: jsonOf(
      z
        .object({
          from: day,
          to: day,
          total: countsSchema.openapi({
            description: "Since the cache was set up, over all days and registries that were asked for.",
          }),
          registries: z.array(counted).openapi({ description: "Since the cache was set up." }),
          days: z.array(z.object({ day, registries: z.array(counted) })).openapi({
            description: "From the first to the last; days on which nothing happened are left out.",
          }),
        })
        .openapi("Statistics"),
      "What was counted.",
    ),
    ...readRefusals(400),
  },
});

export interface StatisticsParts {
  readonly registries: Parameters<typeof registryIdOf>[1];
  readonly counters: CountersView;
}

export function statisticsResource(app: ApiApp, { registries, counters }: StatisticsParts): void {
  app.openapi(route, async (c) => {
    const { registry: named, ...asked } = c.req.valid("query");
    const registry = registryIdOf(named, registries);
    const { from, to } = daysOf(asked, Date.now());
    const [total, days] = await Promise.all([counters.total(), counters.byDay(from, to)]);
    const wanted = (all: readonly RegistryCounts[]) =>
      all
        .filter(({ registryId }) => registry === undefined || registryId === registry)
        .map(({ registryId, counts }) => ({ registry: registryId, counts }));
    const ever = wanted(total);
    const body = {
      from,
      to,
      total: sumOf(ever.map(({ counts }) => counts)),
      registries: ever,
      days: days
        .map((one) => ({ day: one.day, registries: wanted(one.registries) }))
        .filter((one) => one.registries.length > 0),
    };
    return c.json(body, 200);
  });
}

interface DaysAsked {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
}

/** Rejects, with a `ProblemError`, days in the wrong order, and too many of them. */
export function daysOf({ from, to }: DaysAsked, nowMs: number): { readonly from: string; readonly to: string } {
  const last = to ?? dayOf(nowMs);
  const first = from ?? dayOf(Date.parse(last) - (DAYS_DEFAULT - 1) * MS_PER_DAY);
  const days = (Date.parse(last) - Date.parse(first)) / MS_PER_DAY + 1;
  if (days < 1) throw badRequest("from: is later than to", [{ parameter: "from", detail: "is later than to" }]);
  if (days <= DAYS_MAX) return { from: first, to: last };
  const detail = `is more than ${DAYS_MAX} days before to`;
  throw badRequest(`from: ${detail}`, [{ parameter: "from", detail }]);
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, "2026-11-26".length);
}
