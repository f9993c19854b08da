import { createRoute, z } from "@hono/zod-openapi";
import { packageVersion } from "../../lib/version.ts";
import { type ApiApp, jsonOf, readRefusals } from "./common.ts";

const route = createRoute({
  method: "get",
  operationId: "getDocument",
  path: "/api/v1/openapi.json",
  summary: "This document",
  tags: ["About the API"],
  responses: {
    200: jsonOf(z.looseObject({ openapi: z.string() }), "OpenAPI 3.1."),
    ...readRefusals(),
  },
});

export function documentResource(app: ApiApp): void {
  app.openAPIRegistry.registerComponent("securitySchemes", "password", { type: "http", scheme: "basic" });
  app.openAPIRegistry.registerComponent("securitySchemes", "certificate", { type: "mutualTLS" });
  let document: object | undefined;
  app.openapi(route, (c) => c.json((document ??= documentOf(app)) as { openapi: string }, 200));
}

/** Made from the very schemas that questions and answers are checked by. */
export function documentOf(app: ApiApp): object {
  return app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title: "Registry Cache", version: packageVersion(), description: DESCRIPTION },
    servers: [{ url: "/", description: "Wherever the cache is reached." }],
    security: [{}, { password: [] }, { certificate: [] }],
  });
}

const DESCRIPTION = `What the cache holds, what it has done and does now, and what it shall do.

Times are ISO 8601 in UTC, sizes are bytes. Errors are problems (RFC 9457, \`application/problem+json\`). Answers to GET have an ETag:
with If-None-Match the answer is 304 where nothing has changed. Lists come in pages: \`next\`, and \`Link: <...>; rel="next"\`, lead to the
next one. Whoever may read is set by \`api.read\`; what acts (POST, PUT, DELETE) is for those in \`api.admins\` alone, over TLS or on the
cache's own machine, with \`Content-Type: application/json\`. Whoever may use the local socket in the data folder may do all.`;
