import { childSecondsIn, cpuSeconds } from "../lib/proc.ts";
import type { Cores, Processes } from "../lib/processes.ts";
import type { Tools } from "../lib/tools.ts";

/** How many requests tell the rate well enough to choose the number for the time that was asked for. */
const PROBE_REQUESTS = 500;
const REQUESTS_MAX = 2_000_000;
const TIMEOUT_MS = 300_000;

export interface HeadCall {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  readonly cores: Cores;
}

export interface HeadLoad {
  readonly requests: number;
  readonly seconds: number;
  readonly serverCpuSeconds: number;
  readonly generatorCpuSeconds: number;
}

/** HEAD requests by curl, for wrk waits for the body that a HEAD's Content-Length promises. */
export async function runHead(
  tools: Tools,
  processes: Processes,
  serverPid: number,
  call: HeadCall,
): Promise<HeadLoad> {
  const send = async (requests: number): Promise<HeadLoad> => {
    const before = await cpuSeconds(serverPid);
    const script = '"$@" && times >&2';
    const command = ["/bin/sh", "-c", script, "sh", tools.path("curl"), ...headArguments(call, requests)];
    const finished = await processes.run(command, { cores: call.cores, timeoutMs: TIMEOUT_MS });
    const serverCpuSeconds = (await cpuSeconds(serverPid)) - before;
    const good = finished.stdout.split("\n").filter((code) => code === "200").length;
    if (good !== requests) throw new Error(`${call.url}: ${good} of ${requests} answered 200\n${finished.stderr}`);
    const generatorCpuSeconds = childSecondsIn(finished.stderr);
    return { requests, seconds: finished.wallSeconds, serverCpuSeconds, generatorCpuSeconds };
  };
  const probe = await send(PROBE_REQUESTS);
  return await send(requestsFor(probe.requests / probe.seconds, call.seconds));
}

/** Whole hundreds. */
export function requestsFor(rate: number, seconds: number): number {
  return Math.min(REQUESTS_MAX, Math.max(PROBE_REQUESTS, Math.round((rate * seconds) / 100) * 100));
}

/** The query only makes curl count; none of the servers cares about it. */
function headArguments({ url, connections }: HeadCall, requests: number): string[] {
  const parallel = ["--parallel", "--parallel-immediate", "--parallel-max", String(connections)];
  const quiet = ["--silent", "--no-progress-meter", "--output", "/dev/null", "--write-out", "%{http_code}\\n"];
  return ["--head", "--insecure", ...parallel, ...quiet, `${url}?[1-${requests}]`];
}
