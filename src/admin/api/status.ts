import { createRoute, z } from "@hono/zod-openapi";
import type { CountersView } from "../counters/counts.ts";
import { activitySchema, toldActivity } from "./activity.ts";
import { type ApiApp, bytesCount, iso, jsonOf, readRefusals, when } from "./common.ts";
import { countsSchema, sumOf } from "./counts.ts";
import type { ActivityView } from "../activity.ts";
import type { RoomView } from "./parts.ts";
import { type ToldRegistry, upstreamOf, upstreamSchema, type UpstreamStates } from "./registries.ts";

export const statusSchema = z
  .object({
    version: z.string().openapi({ example: "0.1.0" }),
    startedAt: when,
    now: when,
    uptimeSeconds: z.int(),
    held: z.object({
      bytes: bytesCount.openapi({ description: "Distinct bytes of all that is held." }),
      partialBytes: bytesCount.openapi({ description: "Bytes of transfers that were not finished." }),
      imagelessBytes: bytesCount.optional().openapi({
        description:
          "Stored bytes that no image leads to, as they were found last, where there are any; they go before images.",
      }),
      maxBytes: bytesCount.optional().openapi({ description: "The budget (`max_size`), where there is one." }),
    }),
    disk: z
      .object({
        freeBytes: bytesCount,
        totalBytes: bytesCount,
        minFreeBytes: bytesCount.openapi({ description: "What is left free (`min_free_disk`)." }),
      })
      .optional(),
    registries: z.array(
      z.object({
        id: z.string(),
        serves: z.string(),
        heldBytes: bytesCount,
        maxBytes: bytesCount.optional(),
        upstream: upstreamSchema,
        counts: countsSchema,
      }),
    ),
    counts: countsSchema.openapi({ description: "Over all registries, since the cache was set up." }),
    activity: activitySchema,
  })
  .openapi("Status");

export type StatusAnswer = z.infer<typeof statusSchema>;

const route = createRoute({
  method: "get",
  operationId: "getStatus",
  path: "/api/v1/status",
  summary: "How the cache is",
  description: "The same comes each second as the event `status` to whoever asks for it.",
  tags: ["What is going on"],
  responses: { 200: jsonOf(statusSchema, "At this moment."), ...readRefusals() },
});

export interface StatusParts {
  readonly version: string;
  readonly startedAtMs: number;
  readonly registries: readonly ToldRegistry[];
  readonly room: RoomView;
  readonly upstreams: UpstreamStates;
  readonly counters: Pick<CountersView, "total">;
  readonly activity: ActivityView;
}

export function statusResource(app: ApiApp, parts: StatusParts): void {
  app.openapi(route, async (c) => c.json(await statusOf(parts, c.env.caller.isAdmin), 200));
}

export async function statusOf(parts: StatusParts, isAdmin: boolean): Promise<StatusAnswer> {
  const [room, total] = await Promise.all([parts.room.now(), parts.counters.total()]);
  const nowMs = Date.now();
  return {
    version: parts.version,
    startedAt: iso(parts.startedAtMs),
    now: iso(nowMs),
    uptimeSeconds: Math.max(0, Math.floor((nowMs - parts.startedAtMs) / 1000)),
    held: {
      bytes: room.heldBytes,
      partialBytes: room.partialBytes,
      ...(room.imagelessBytes === 0 ? {} : { imagelessBytes: room.imagelessBytes }),
      ...(room.maxBytes === undefined ? {} : { maxBytes: room.maxBytes }),
    },
    ...(room.disk === undefined ? {} : { disk: room.disk }),
    registries: parts.registries.map(({ id, serves }) => {
      const { bytes = 0, maxBytes } = room.byRegistry.get(id) ?? {};
      return {
        id,
        serves,
        heldBytes: bytes,
        ...(maxBytes === undefined ? {} : { maxBytes }),
        upstream: upstreamOf(parts.upstreams, id),
        counts: total.find(({ registryId }) => registryId === id)?.counts ?? sumOf([]),
      };
    }),
    counts: sumOf(total.map(({ counts }) => counts)),
    activity: toldActivity(parts.activity.now(), isAdmin),
  };
}
