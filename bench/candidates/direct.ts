import type { Candidate } from "./candidate.ts";

/** No cache at all: the client asks the upstream itself. */
export const direct: Candidate = {
  name: "direct",
  caches: false,
  version: () => Promise.resolve("the client asks the upstream itself"),
  start: (_workshop, { upstream }) =>
    Promise.resolve({ url: upstream, pid: undefined, readyMs: 0, stop: () => Promise.resolve() }),
};
