import { createRoute, z } from "@hono/zod-openapi";
import { DEFAULT_TAG, type NamedRegistry } from "../../oci/image-name.ts";
import { repositoryPath } from "../../oci/reference.ts";
import { badRequest, ProblemError } from "../../server/problem.ts";
import { type ApiApp, digestText, iso, jsonOf, readRefusals, when } from "./common.ts";
import { nameOf, optionalTime } from "./images.ts";
import type { TagHistories } from "./parts.ts";

const sighting = z.object({
  digest: digestText,
  firstSeenAt: when.openapi({ description: "Since when the tag has pointed there." }),
  confirmedAt: when.openapi({ description: "When upstream last said so." }),
  vanishedAt: when.optional().openapi({ description: "Since when upstream does not have it, after that." }),
});

const historySchema = z
  .object({
    image: z.string().openapi({ example: "docker.io/library/nginx:latest" }),
    heldAt: digestText.optional().openapi({ description: "The digest at which it is held, whatever upstream says." }),
    history: z.array(sighting).openapi({ description: "Where it points first, then where it pointed before." }),
  })
  .openapi("TagHistory");

export type HistoryAnswer = z.infer<typeof historySchema>;

const route = createRoute({
  method: "get",
  operationId: "getHistory",
  path: "/api/v1/history/{reference}",
  summary: "Where a tag points, and has pointed",
  tags: ["What is held"],
  request: {
    params: z.object({
      reference: z
        .string()
        .openapi({ description: "The rest of the path; by default the tag is latest.", example: "nginx:latest" }),
    }),
  },
  responses: { 200: jsonOf(historySchema, "At most some hundreds."), ...readRefusals(400, 404) },
});

export interface HistoryParts {
  readonly registries: readonly NamedRegistry[];
  readonly histories: TagHistories;
  /** Whether lists have the repository, by its path. */
  readonly isListed: (path: string) => Promise<boolean>;
}

export function historyResource(app: ApiApp, { registries, histories, isListed }: HistoryParts): void {
  app.openapi(route, async (c) => {
    const { reference } = c.req.valid("param");
    const { repository, tag = DEFAULT_TAG, digest } = nameOf(reference, registries);
    if (digest !== undefined) {
      const detail = "a digest stays what it is; ask for a tag, such as nginx:latest";
      throw badRequest(detail, [{ parameter: "reference", detail }]);
    }
    const path = repositoryPath(repository);
    const { sightings, heldAt } = await histories.of(repository, tag);
    // What is private is left out here as in lists.
    const isShown = c.env.caller.isAdmin || (await isListed(path));
    if (!isShown || sightings.length === 0) throw new ProblemError(404, `the tag ${path}:${tag} is not known here`);
    const body = {
      image: `${path}:${tag}`,
      ...(heldAt === undefined ? {} : { heldAt }),
      history: sightings.map((one) => ({
        digest: one.digest,
        firstSeenAt: iso(one.firstSeenAtMs),
        confirmedAt: iso(one.confirmedAtMs),
        ...optionalTime("vanishedAt", one.vanishedAtMs),
      })),
    };
    return c.json(body, 200);
  });
}
