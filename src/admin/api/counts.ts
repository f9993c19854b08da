import { z } from "@hono/zod-openapi";
import { COUNTED_OUTCOMES } from "../../server/request-sums.ts";
import { FILL_ENDS } from "../../pull/activity.ts";
import type { Counts } from "../counters/counts.ts";
import { bytesCount } from "./common.ts";

const number = z.int().min(0);
const byOutcome = (description: string) =>
  z
    .object(
      Object.fromEntries(COUNTED_OUTCOMES.map((outcome) => [outcome, number])) as Record<
        (typeof COUNTED_OUTCOMES)[number],
        typeof number
      >,
    )
    .openapi({ description });

export const countsSchema = z
  .object({
    requests: byOutcome("Requests by how they came out."),
    bytesServed: byOutcome("Bytes of bodies handed to clients, by how requests came out."),
    bytesSaved: bytesCount.openapi({ description: "Served without having been fetched for it." }),
    bytesFetched: bytesCount.openapi({ description: "From upstream: manifests, blobs and lists." }),
    pulls: number.openapi({ description: "Manifests that clients asked for with GET and got." }),
    pullsSaved: number.openapi({ description: "Those of them that upstream was not asked to send." }),
    fills: z.object(
      Object.fromEntries(["begun", ...FILL_ENDS].map((end) => [end, number])) as Record<
        "begun" | (typeof FILL_ENDS)[number],
        typeof number
      >,
    ),
    evictions: number.openapi({ description: "Images that were evicted." }),
    bytesEvicted: bytesCount,
  })
  .openapi("Counts");

/** The sum of what was counted for several registries. */
export function sumOf(all: readonly Counts[]): Counts {
  const sum = (of: (counts: Counts) => number) => all.reduce((so, counts) => so + of(counts), 0);
  const each = <Name extends string>(names: readonly Name[], of: (counts: Counts) => Readonly<Record<Name, number>>) =>
    Object.fromEntries(names.map((name) => [name, sum((counts) => of(counts)[name])])) as Record<Name, number>;
  return {
    requests: each(COUNTED_OUTCOMES, ({ requests }) => requests),
    bytesServed: each(COUNTED_OUTCOMES, ({ bytesServed }) => bytesServed),
    bytesSaved: sum(({ bytesSaved }) => bytesSaved),
    bytesFetched: sum(({ bytesFetched }) => bytesFetched),
    pulls: sum(({ pulls }) => pulls),
    pullsSaved: sum(({ pullsSaved }) => pullsSaved),
    fills: each(["begun", ...FILL_ENDS], ({ fills }) => fills),
    evictions: sum(({ evictions }) => evictions),
    bytesEvicted: sum(({ bytesEvicted }) => bytesEvicted),
  };
}
