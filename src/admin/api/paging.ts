import { z } from "@hono/zod-openapi";

/** A cursor is made by us, of names that have bounds. */
const CURSOR_LENGTH_MAX = 2_000;
const LIMIT_DEFAULT = 50;

/** The parameters of a list that comes in pages. */
export function pageQuery(limitMax: number) {
  return {
    limit: z.coerce.number().int().min(1).max(limitMax).default(LIMIT_DEFAULT).openapi({
      type: "integer",
      description: "At most so many in one answer.",
    }),
    after: z.string().max(CURSOR_LENGTH_MAX).optional().openapi({
      description: "`next` of the page before. It is good with the same filters and the same sort only.",
    }),
  };
}

export const next = z.string().optional().openapi({
  description: "What `after` has to be for the next page; absent with the last one. `Link` has the whole address.",
});

/** RFC 8288: the same question from there on. */
export function linkTo(
  path: string,
  query: Readonly<Record<string, string>>,
  after: string | undefined,
): Record<string, string> {
  if (after === undefined) return {};
  return { Link: `<${path}?${new URLSearchParams({ ...query, after }).toString()}>; rel="next"` };
}
