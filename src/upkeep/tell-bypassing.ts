import type { Logger } from "pino";
import type { Bypassing } from "../access/bypassing.ts";
import type { Step } from "./steps.ts";

const EVERY_MS = 60 * 1000;

/** Tells the operator once of each host that passes the cache by since it cannot log in. */
export function tellBypassingStep(bypassing: Pick<Bypassing, "untold">, log: Pick<Logger, "warn">): Step {
  return {
    name: "tell-bypassing",
    everyMs: EVERY_MS,
    run: async () => {
      for (const { client, userAgent, challenges } of bypassing.untold(Date.now())) {
        log.warn(
          { client, userAgent, challenges },
          "this host was asked who it is and did not come back: it pulls without the cache",
        );
      }
    },
  };
}
