import { createRoute, z } from "@hono/zod-openapi";
import type { Bypassing } from "../../access/bypassing.ts";
import { type ApiApp, iso, jsonOf, readRefusals, when } from "./common.ts";

const client = z
  .object({
    client: z.string().openapi({ description: "Its address.", example: "192.0.2.1" }),
    userAgent: z.string().openapi({ example: "docker/28.0.4 go/go1.23.7" }),
    challenges: z.int().openapi({ description: "How often it was asked who it is." }),
    firstAt: when,
    lastAt: when,
  })
  .openapi("BypassingClient");

const route = createRoute({
  method: "get",
  operationId: "listBypassing",
  path: "/api/v1/bypassing",
  summary: "Hosts that pull without the cache",
  description: "They were asked who they are and never came back; those who were asked lately come first.",
  tags: ["Clients"],
  responses: { 200: jsonOf(z.object({ bypassing: z.array(client) }), "At most some hundreds."), ...readRefusals() },
});

export function bypassingResource(app: ApiApp, bypassing: Pick<Bypassing, "list">): void {
  app.openapi(route, (c) => {
    const list = bypassing.list(Date.now()).map(({ client: address, userAgent, challenges, firstAtMs, lastAtMs }) => ({
      client: address,
      userAgent,
      challenges,
      firstAt: iso(firstAtMs),
      lastAt: iso(lastAtMs),
    }));
    return c.json({ bypassing: list }, 200);
  });
}
