import { createRoute, z } from "@hono/zod-openapi";
import type { FillActivity } from "../../pull/activity.ts";
import { type ApiApp, bytesCount, digestText, iso, jsonOf, readRefusals, when } from "./common.ts";
import type { Activity, ActivityView } from "../activity.ts";

const fill = z.object({
  digest: digestText,
  repository: z.string().optional().openapi({
    description: "By whose request it was begun. Admins alone see it, since it may be private.",
    example: "docker.io/library/nginx",
  }),
  registry: z.string().openapi({ description: "By id." }),
  state: z.enum(["waiting", "filling", "ending", "unkept"]).openapi({
    description: "`unkept`: there is no room for it, and each reader gets it from upstream by himself.",
  }),
  bytes: bytesCount.openapi({ description: "Bytes that are here." }),
  size: bytesCount.optional().openapi({ description: "Bytes of the whole, once somebody has said it." }),
  bytesPerSecond: z.number().openapi({ description: "Over the last seconds." }),
  readers: z.int(),
  since: when,
});

export const activitySchema = z
  .object({
    fills: z.array(fill).openapi({ description: "Transfers from upstreams, the oldest first; at most some hundreds." }),
    fillCount: z.int().openapi({ description: "All of them." }),
    stored: z.array(z.object({ digest: digestText, readers: z.int() })).openapi({
      description: "Stored blobs that are read, the most read first.",
    }),
    storedReaders: z.int(),
    openRequests: z.int(),
    connections: z.int(),
  })
  .openapi("Activity");

const route = createRoute({
  method: "get",
  operationId: "getActivity",
  path: "/api/v1/activity",
  summary: "What is going on now",
  tags: ["What is going on"],
  responses: { 200: jsonOf(activitySchema, "At this moment."), ...readRefusals() },
});

export function activityResource(app: ApiApp, activity: ActivityView): void {
  app.openapi(route, (c) => c.json(toldActivity(activity.now(), c.env.caller.isAdmin), 200));
}

export function toldActivity(now: Activity, isAdmin: boolean): z.infer<typeof activitySchema> {
  const { fillCount, storedReaders, openRequests, connections } = now;
  return {
    fills: now.fills.map((one) => toldFill(one, isAdmin)),
    fillCount,
    stored: now.stored.map(({ digest, readers }) => ({ digest, readers })),
    storedReaders,
    openRequests,
    connections,
  };
}

function toldFill(
  { registryId, repository, size, sinceMs, ...one }: FillActivity,
  isAdmin: boolean,
): z.infer<typeof fill> {
  return {
    ...one,
    registry: registryId,
    ...(isAdmin ? { repository } : {}),
    ...(size === undefined ? {} : { size }),
    since: iso(sinceMs),
  };
}
