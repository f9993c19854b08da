import { humanDuration } from "../lib/human.ts";
import type { Trial } from "../upstream/trial.ts";
import { type Check, type Finding, ok, problem, skipped, warning } from "./finding.ts";
import type { Tried } from "./upstreams.ts";

/** `Date` has seconds, and an answer takes its time. */
const OFF_MS = 30_000;
/** Tokens and signed addresses live for minutes. */
const FAR_OFF_MS = 5 * 60_000;

export function clockCheck(tried: Promise<readonly Tried[]> | undefined): Check {
  return { title: "Clock", look: async () => [judgeClock((await tried)?.map(({ trial }) => trial.clock) ?? [])] };
}

/** The middle of what upstreams say: one of them may be wrong itself. */
export function judgeClock(clocks: readonly Trial["clock"][]): Finding {
  const aheadMs = clocks
    .flatMap((clock) => (clock === undefined ? [] : [clock.oursMs - clock.theirsMs]))
    .toSorted((a, b) => a - b);
  const middle = aheadMs[Math.floor((aheadMs.length - 1) / 2)];
  if (middle === undefined) return skipped("no upstream has told the time");
  const size = Math.abs(middle);
  const text = `this machine's clock is ${humanDuration(size)} ${middle > 0 ? "ahead of" : "behind"} that of upstreams`;
  const fix = "let the system follow a time server: timedatectl set-ntp true";
  if (size >= FAR_OFF_MS) return problem(`${text}: tokens and certificates are judged by it`, fix);
  return size >= OFF_MS ? warning(text, fix) : ok("this machine's clock agrees with that of upstreams");
}
