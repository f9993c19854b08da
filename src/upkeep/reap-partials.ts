import type { Logger } from "pino";
import type { Store } from "../store/store.ts";
import type { Step } from "./steps.ts";

const EVERY_MS = 60 * 60 * 1000;

/** Removes partials that nobody has gone on with for `olderThanMs`. */
export function reapPartialsStep(
  store: Pick<Store, "reapPartials">,
  olderThanMs: number,
  log?: Pick<Logger, "info">,
): Step {
  return {
    name: "reap-partials",
    everyMs: EVERY_MS,
    run: async () => {
      const { partials, bytes } = await store.reapPartials(olderThanMs);
      if (partials > 0) log?.info({ partials, bytes }, "abandoned partials were removed");
    },
  };
}
