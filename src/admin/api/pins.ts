import { createRoute, z } from "@hono/zod-openapi";
import { ProblemError } from "../../server/problem.ts";
import { actRefusals, type ApiApp, jsonOf, readRefusals } from "./common.ts";
import type { Pin, PinBook } from "./parts.ts";

const NOTE_LENGTH_MAX = 500;
const PATH = "/api/v1/pins/{reference}";

const pinSchema = z
  .object({
    image: z.string().openapi({
      description: "An image, a glob over images, or a tag with the digest at which it is held.",
      example: "docker.io/library/nginx:1.27",
    }),
    isHold: z.boolean().openapi({ description: "The tag is held at the digest, whatever upstream says." }),
    isHeld: z.boolean().optional().openapi({
      description:
        "Of one that was just made: whether anything that is held fits. What a tag is held at, the next pull fetches.",
    }),
    unconfirmed: z.string().optional().openapi({
      description:
        "Of a hold that was just made, at what is not held: why upstream could not be asked whether it has that.",
      example: "no answer within 3 s",
    }),
    note: z.string().optional().openapi({ example: "the last one that works with the old database" }),
    isConfigured: z
      .boolean()
      .openapi({ description: "It stands in the configuration, and goes by changing that alone." }),
  })
  .openapi("Pin");

export type PinAnswer = z.infer<typeof pinSchema>;
export interface PinsAnswer {
  readonly pins: readonly PinAnswer[];
}

const list = createRoute({
  method: "get",
  operationId: "listPins",
  path: "/api/v1/pins",
  summary: "What is never evicted, and tags that are held at a digest",
  tags: ["Pins"],
  responses: { 200: jsonOf(z.object({ pins: z.array(pinSchema) }), "All of them."), ...readRefusals() },
});

const params = z.object({
  reference: z.string().openapi({
    description:
      "The rest of the path: an image (`nginx:1.27`), a glob (`docker.io/library/*`, `ghcr.io/org/**:v*`), or a tag with the digest at which " +
      "it shall be held (`nginx:latest@sha256:...`). Slashes may be encoded or not.",
    example: "docker.io/library/nginx:1.27",
  }),
});

const put = createRoute({
  method: "put",
  operationId: "putPin",
  path: PATH,
  summary: "Pin images, or hold a tag at a digest",
  description:
    "One of the same name is replaced. A tag is held only at a digest that is held, or that upstream has, unless it cannot be asked.",
  tags: ["Pins"],
  request: {
    params,
    body: {
      required: false,
      content: {
        "application/json": {
          schema: z
            .strictObject({
              note: z.string().max(NOTE_LENGTH_MAX).optional().openapi({ description: "Why, for people." }),
            })
            .openapi("PinRequest"),
        },
      },
    },
  },
  responses: { 200: jsonOf(pinSchema, "As it is now."), ...actRefusals(400, 404, 409) },
});

const remove = createRoute({
  method: "delete",
  operationId: "deletePin",
  path: PATH,
  summary: "Pin images no longer, or let a tag move again",
  description: "A tag that is held at a digest may be named without the digest.",
  tags: ["Pins"],
  request: { params },
  responses: { 200: jsonOf(pinSchema, "As it was."), ...actRefusals(400, 404, 409) },
});

export function pinsResource(app: ApiApp, pins: PinBook): void {
  app.openapi(list, async (c) => c.json({ pins: (await pins.list()).map(toldPin) }, 200));
  app.openapi(put, async (c) => {
    const { note } = c.req.valid("json");
    return c.json(toldPin(await pins.put(c.req.valid("param").reference, note)), 200);
  });
  app.openapi(remove, async (c) => {
    const { reference } = c.req.valid("param");
    const pin = await pins.remove(reference);
    if (pin === undefined) throw new ProblemError(404, `${reference} is not pinned`);
    return c.json(toldPin(pin), 200);
  });
}

function toldPin({ image, isHold, isHeld, unconfirmed, note, isConfigured }: Pin): PinAnswer {
  const held = {
    ...(isHeld === undefined ? {} : { isHeld }),
    ...(unconfirmed === undefined ? {} : { unconfirmed }),
  };
  return { image, isHold, ...held, ...(note === undefined ? {} : { note }), isConfigured };
}
