import { setTimeout as delay } from "node:timers/promises";
import type { CandidateName } from "../candidates/candidate.ts";
import { blobPath } from "../fixtures.ts";
import { residentBytes, sum } from "../lib/proc.ts";
import { curlArguments, parseTransfers } from "../load/curl.ts";
import type { Row } from "./row.ts";

const MB = 1_000_000;
const WITH_MEMORY: readonly CandidateName[] = ["ours", "registry:2", "distribution 3", "zot", "nginx proxy_cache"];
/** What a start leaves behind is given back meanwhile. */
const SETTLE_MS = 2000;
const READERS = 200;
const READER_SECONDS = 10;
const QUICK_READER_SECONDS = 5;
/** Slow enough to be there all the time, fast enough that all buffers are in use. */
const READER_BYTES_PER_SECOND = "1M";
const SAMPLE_MS = 100;
const WORKERS_STARTED = 2;

async function residentTotal(pid: number | undefined): Promise<number> {
  if (pid === undefined) throw new Error("no process to look at");
  return sum(await residentBytes(pid));
}

const IDLE_AND_BUSY: Row = {
  name: "resident memory",
  lines: [
    { id: "idle", label: "idle", unit: "bytes" },
    { id: "readers", label: `${READERS} slow readers of a held 256 MiB blob, the most seen`, unit: "bytes" },
  ],
  mustReach: [
    { line: "idle", text: "<= 90 MB", compare: "value", atMost: 90 * MB },
    { line: "readers", text: "<= 200 MB", compare: "value", atMost: 200 * MB },
  ],
  candidates: WITH_MEMORY,
  run: async (context, candidate) => {
    const { hot, large } = context.fixtures;
    const { url, pid } = await context.start(candidate);
    await delay(SETTLE_MS);
    const idle = await residentTotal(pid);
    const urls = Array.from({ length: READERS }, () => `${url}${blobPath(hot, large)}`);
    const slow = [
      "--limit-rate",
      READER_BYTES_PER_SECOND,
      "--max-time",
      String(context.quick ? QUICK_READER_SECONDS : READER_SECONDS),
    ];
    let most = idle;
    let over = false;
    const reading = context.run("curl", curlArguments(urls, slow)).finally(() => {
      over = true;
    });
    while (!over) {
      await Promise.race([delay(SAMPLE_MS), reading]);
      most = Math.max(most, await residentTotal(pid));
    }
    const served = parseTransfers((await reading).stdout).filter(({ status }) => status === 200).length;
    if (served !== READERS) throw new Error(`${served} of ${READERS} readers were served`);
    return { idle, readers: most };
  },
};

const WORKERS: Row = {
  name: "resident memory of each further worker",
  lines: [{ id: "worker", label: "idle", unit: "bytes" }],
  mustReach: [{ line: "worker", text: "<= 80 MB", compare: "value", atMost: 80 * MB }],
  candidates: ["ours"],
  run: async (context, candidate) => {
    const { pid } = await context.start(candidate, { workers: WORKERS_STARTED, cores: context.cores.all });
    await delay(SETTLE_MS);
    if (pid === undefined) throw new Error("no process to look at");
    const [, ...further] = await residentBytes(pid);
    if (further.length === 0) throw new Error("there is one process only");
    return { worker: sum(further) / further.length };
  },
};

export const MEMORY_ROWS: readonly Row[] = [IDLE_AND_BUSY, WORKERS];
