import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { PROBLEM_TYPE } from "../../server/problem.ts";
import type { ApiCaller } from "./asked.ts";

/** What every operation is told beside the question itself. */
export interface ApiBindings {
  readonly caller: ApiCaller;
  readonly signal: AbortSignal;
  readonly lastEventId: string | undefined;
}

export type ApiApp = OpenAPIHono<{ Bindings: ApiBindings }>;

const field = z.union([
  z.object({ pointer: z.string().openapi({ example: "#/references/0" }), detail: z.string() }),
  z.object({ parameter: z.string().openapi({ example: "limit" }), detail: z.string() }),
]);

export const problemSchema = z
  .object({
    type: z.literal("about:blank"),
    title: z.string().openapi({ description: "The status in words.", example: "Bad Request" }),
    status: z.int(),
    detail: z.string().openapi({
      description: "What is wrong, and what to do about it, for people.",
      example: "limit: Too big: expected number to be <=1000",
    }),
    errors: z.array(field).optional().openapi({ description: "Each field of the body, or parameter, that is wrong." }),
  })
  .openapi("Problem", { description: "What went wrong (RFC 9457)." });

/** Why an operation may be refused. */
const REFUSALS = {
  400: "The question cannot be understood; `errors` says which part of it.",
  401: "Nobody knows who is asking. `WWW-Authenticate` says what to send.",
  403: "Whoever asks may not, or asks by a way on which it cannot be allowed; `detail` says which.",
  404: "There is no such thing here.",
  409: "What is there already is in the way.",
  413: "The body is too long.",
  415: "The body is not `application/json`, or does not say so.",
  503: "Too much is under way already, or the cache is stopping. `Retry-After` says when to ask again.",
} as const;

type Refusal = keyof typeof REFUSALS;
type RefusalOf<All extends readonly Refusal[]> = { readonly [Status in All[number]]: ReturnType<typeof refusal> };

function refusal(description: string) {
  return { description, content: { [PROBLEM_TYPE]: { schema: problemSchema } } } as const;
}

/** The errors of an operation that reads; more of them where they can happen. */
export function readRefusals<const More extends readonly Refusal[]>(
  ...more: More
): RefusalOf<readonly [401, 403, ...More]> {
  return refusals([401, 403, ...more]);
}

/** The errors of an operation that acts. */
export function actRefusals<const More extends readonly Refusal[]>(
  ...more: More
): RefusalOf<readonly [401, 403, 413, 415, ...More]> {
  return refusals([401, 403, 413, 415, ...more]);
}

function refusals<const All extends readonly Refusal[]>(all: All): RefusalOf<All> {
  return Object.fromEntries(all.map((status) => [status, refusal(REFUSALS[status])])) as RefusalOf<All>;
}

/** A JSON answer. */
export function jsonOf<T extends z.ZodType>(schema: T, description: string) {
  return { description, content: { "application/json": { schema } } };
}

export const when = z.iso.datetime().openapi({ description: "In UTC.", example: "2026-11-26T12:00:00.000Z" });
export const bytesCount = z.int().min(0).openapi({ description: "Bytes.", example: 29_533_422 });
export const digestText = z.string().openapi({
  example: "sha256:0d17b565c37bcbd895e9d92315a05c1c3c9a29f762b011a10c54a66cd53c9b31",
});

export function iso(ms: number): string {
  return new Date(ms).toISOString();
}
