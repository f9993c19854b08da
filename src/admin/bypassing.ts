import type { Bypassing } from "../access/bypassing.ts";
import type { LocalRoutes } from "../server/local.ts";

/** `GET /api/v1/bypassing`: hosts that were challenged and never came back, those who were asked lately first. */
export function bypassingRoutes(bypassing: Pick<Bypassing, "list">): LocalRoutes {
  return {
    "/api/v1/bypassing": async () => {
      const list = bypassing.list(Date.now()).map(({ client, userAgent, challenges, firstAtMs, lastAtMs }) => ({
        client,
        userAgent,
        challenges,
        firstAt: new Date(firstAtMs).toISOString(),
        lastAt: new Date(lastAtMs).toISOString(),
      }));
      return { status: 200, body: { bypassing: list } };
    },
  };
}
