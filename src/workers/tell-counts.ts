import type { RequestSums } from "../server/request-sums.ts";
import type { InUse } from "./messages.ts";
import type { OwnerLink } from "./owner-link.ts";

/** How long what a front has counted waits to be told; a front that is killed loses so much. */
const TOLD_EVERY_MS = 1_000;

export interface TellCountsOptions {
  readonly sums: Pick<RequestSums, "take">;
  readonly inUse: () => InUse;
  readonly link: Pick<OwnerLink, "send">;
}

/** Tells the owner what this front has counted and what is open here; nothing where nothing has changed. `stop` tells the rest. */
export function tellCounts({ sums, inUse, link }: TellCountsOptions): { stop(): void } {
  let last = "";
  const tell = (): void => {
    const [counted, used] = [sums.take(), inUse()];
    const text = JSON.stringify(used);
    if (counted.requests.length === 0 && text === last) return;
    last = text;
    link.send({ kind: "counted", counted, inUse: used });
  };
  const timer = setInterval(tell, TOLD_EVERY_MS).unref();
  return {
    stop: () => {
      clearInterval(timer);
      tell();
    },
  };
}
