import { createRoute, z } from "@hono/zod-openapi";
import { IMAGES_PER_PAGE_MAX } from "../images/image.ts";
import { type ApiApp, bytesCount, jsonOf, readRefusals, when } from "./common.ts";
import { registryIdOf, type ImagesParts, optionalTime } from "./images.ts";
import { linkTo, next, pageQuery } from "./paging.ts";

const PATH = "/api/v1/repositories";

const repository = z
  .object({
    registry: z.string().openapi({ description: "By id.", example: "dockerhub" }),
    repository: z.string().openapi({ example: "docker.io/library/nginx" }),
    images: z.int(),
    tags: z.int(),
    bytes: bytesCount.openapi({ description: "Distinct bytes of all that is held of it." }),
    lastPulledAt: when.optional(),
  })
  .openapi("Repository");

const route = createRoute({
  method: "get",
  operationId: "listRepositories",
  path: PATH,
  summary: "Repositories of which something is held",
  tags: ["What is held"],
  request: {
    query: z.strictObject({
      registry: z.string().optional().openapi({ description: "By id.", example: "dockerhub" }),
      ...pageQuery(IMAGES_PER_PAGE_MAX),
    }),
  },
  responses: {
    200: {
      ...jsonOf(z.object({ repositories: z.array(repository), next }), "One page of them, by name."),
      headers: z.object({
        Link: z.string().optional().openapi({ description: 'The next page: `<...>; rel="next"`.' }),
      }),
    },
    ...readRefusals(400),
  },
});

export function repositoriesResource(app: ApiApp, { registries, imagesFor, settlePulls }: ImagesParts): void {
  app.openapi(route, async (c) => {
    const { registry, limit, after } = c.req.valid("query");
    const wanted = registryIdOf(registry, registries);
    await settlePulls();
    const page = await imagesFor(c.env.caller).repositories({ registryId: wanted, limit, after });
    const repositories = page.repositories.map(({ registryId, serves, repository: name, lastPulledAtMs, ...sums }) => ({
      registry: registryId,
      repository: `${serves}/${name}`,
      images: sums.images,
      tags: sums.tags,
      bytes: sums.bytes,
      ...optionalTime("lastPulledAt", lastPulledAtMs),
    }));
    const body = { repositories, ...(page.next === undefined ? {} : { next: page.next }) };
    return c.json(body, 200, linkTo(PATH, c.req.query(), page.next));
  });
}
