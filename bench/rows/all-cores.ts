import type { CandidateName } from "../candidates/candidate.ts";
import type { Load } from "../load/wrk.ts";
import { loadHeld, MANIFEST_BY_TAG, SMALL_BLOB, type Target } from "./held.ts";
import type { Row, Unit } from "./row.ts";

const CANDIDATES: readonly CandidateName[] = ["ours", "nginx sendfile"];
/** 1.7 of two cores. */
const SHARE_MIN = 0.85;

/**
 * One worker a core, not pinned, with the generator among them. On a machine with few cores the generator takes a good part
 * itself: what it leaves is measured, and the rate for each core that it left is compared with that of one core.
 */
function allCores(name: string, target: Target, unit: Unit, amount: (load: Load) => number): Row {
  return {
    name,
    lines: [
      { id: "one", label: "one worker, one core, generator on another", unit },
      { id: "all", label: "a worker for each core, generator among them", unit },
      { id: "times", label: "all / one", unit: "times" },
      { id: "left", label: "cores that the generator and other programs left", unit: "number" },
      { id: "used", label: "cores that the server used", unit: "number" },
      { id: "share", label: "for each core left / for one core's CPU second", unit: "times" },
    ],
    mustReach: [
      {
        line: "share",
        text: ">= 1.7 x one core, where the generator leaves room (0.85 for each core that it leaves)",
        compare: "value",
        atLeast: SHARE_MIN,
      },
    ],
    candidates: CANDIDATES,
    run: async (context, candidate) => {
      const { all, allCount } = context.cores;
      const alone = await context.start(candidate);
      const single = await loadHeld(context, alone, target);
      await alone.stop();
      const server = await context.start(candidate, { cores: all, workers: allCount });
      const load = await loadHeld(context, server, target, { cores: all, threads: allCount });
      const left = allCount - (load.generatorCpuSeconds + load.otherCpuSeconds) / load.seconds;
      const used = load.serverCpuSeconds / load.seconds;
      const rate = amount(load) / load.seconds;
      const perCpuSecond = amount(single) / single.serverCpuSeconds;
      const one = amount(single) / single.seconds;
      return { one, all: rate, times: rate / one, left, used, share: rate / left / perCpuSecond };
    },
  };
}

export const ALL_CORES_ROWS: readonly Row[] = [
  allCores("manifest by tag with all cores, 16 connections", MANIFEST_BY_TAG, "per second", (load) => load.requests),
  allCores("1 MiB blob with all cores, 16 connections", SMALL_BLOB, "bytes per second", (load) => load.bytes),
];
