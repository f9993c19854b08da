import { createRoute, z } from "@hono/zod-openapi";
import { EVENT_NAMES, type EventName } from "../../config/event-names.ts";
import type { EventStreams, Told } from "../event-stream.ts";
import { type ApiApp, iso, readRefusals } from "./common.ts";
import { streamOf } from "./streams.ts";

const STATUS = "status";
const TYPES: readonly string[] = [...EVENT_NAMES, STATUS];
/** All of them, several times over. */
const TYPES_LENGTH_MAX = 1_000;
/** A client that lost the connection comes back after so long. */
const RETRY_MS = 2_000;

const types = z
  .string()
  .max(TYPES_LENGTH_MAX)
  .transform((text) => text.split(",").map((one) => one.trim()))
  .refine((all) => all.every((one) => TYPES.includes(one)), `is a list of some of ${TYPES.join(", ")}`)
  .optional()
  .openapi({
    type: "string",
    description: `Only these, separated by commas: ${TYPES.join(", ")}. By default all but \`${STATUS}\`, which says once a second how things are.`,
    example: "tag.moved,image.evicted",
  });

const route = createRoute({
  method: "get",
  operationId: "listenToEvents",
  path: "/api/v1/events",
  summary: "What happens, as it happens",
  description:
    "Server-sent events. Each has an `id`, an `event` (its type) and as `data` one line of JSON: `{id, type, at, data}`. Whoever comes back " +
    "with `Last-Event-ID` is told what it has missed, as far as that is remembered (1,000 events; `gap` comes first where it is not). A reader " +
    "that is too slow is told `dropped`, and comes back. Comments come when nothing else does.",
  tags: ["Events"],
  request: {
    query: z.object({ types }),
    headers: z.object({
      "last-event-id": z
        .string()
        .optional()
        .openapi({ description: "The `id` of the last event that came.", example: "mgq3k2-17" }),
    }),
  },
  responses: {
    200: { description: "It does not end by itself.", content: { "text/event-stream": { schema: z.string() } } },
    ...readRefusals(400, 503),
  },
});

export function eventsResource(app: ApiApp, streams: EventStreams): void {
  app.openapi(route, (c) => {
    const { types: wanted } = c.req.valid("query");
    const names = wanted?.filter((one) => one !== STATUS) as EventName[] | undefined;
    const told = streams.listen({
      names: names === undefined ? undefined : new Set(names),
      wantsStatus: wanted?.includes(STATUS) === true,
      isAdmin: c.env.caller.isAdmin,
      lastId: c.env.lastEventId,
      signal: c.env.signal,
    });
    return streamOf(withBegin(told), "text/event-stream", textOf);
  });
}

type Line = Told | { readonly kind: "begin" };

/** Something comes at once, so that a client knows that it is heard. */
async function* withBegin(told: AsyncIterable<Told>): AsyncGenerator<Line> {
  yield { kind: "begin" };
  yield* told;
}

function textOf(line: Line): string {
  switch (line.kind) {
    case "begin":
      return `retry: ${RETRY_MS}\n: what happens from now on\n\n`;
    case "heartbeat":
      return ": still here\n\n";
    case "gap":
      return `event: gap\ndata: ${JSON.stringify({ detail: "what happened before is not remembered" })}\n\n`;
    case "dropped":
      return `event: dropped\ndata: ${JSON.stringify({ detail: "this reader was too slow; come back with Last-Event-ID" })}\n\n`;
    case "status":
      return `event: ${STATUS}\ndata: ${JSON.stringify(line.status)}\n\n`;
    case "event": {
      const { name, atMs, data } = line.event;
      const body = { id: line.id, type: name, at: iso(atMs), data };
      return `id: ${line.id}\nevent: ${name}\ndata: ${JSON.stringify(body)}\n\n`;
    }
  }
}
