import { childSecondsIn, cpuSeconds, machineSeconds } from "../lib/proc.ts";
import type { Cores, Processes } from "../lib/processes.ts";
import type { Tools } from "../lib/tools.ts";

/** What wrk said. */
export interface WrkOutput {
  readonly requests: number;
  readonly seconds: number;
  /** Headers and bodies, also of responses that the end cut. */
  readonly bytes: number;
  readonly p99Ms: number;
  /** Answers that were no success, and connections that failed. */
  readonly errors: number;
}

export interface LoadCall {
  readonly url: string;
  readonly connections: number;
  readonly threads?: number;
  readonly seconds: number;
  readonly cores: Cores;
  readonly headers?: Readonly<Record<string, string>>;
  /** A Lua file that says what to ask for. */
  readonly script?: string;
}

export interface Load extends WrkOutput {
  readonly serverCpuSeconds: number;
  readonly generatorCpuSeconds: number;
  /** What everything else on the machine took meanwhile. */
  readonly otherCpuSeconds: number;
}

const UNITS: Readonly<Record<string, number>> = { "": 1, B: 1, KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30, TB: 2 ** 40 };
const MS_PER: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, m: 60_000 };
const SLACK_MS = 30_000;

/** Reads the output of `wrk --latency`. */
export function parseWrk(text: string): WrkOutput {
  const total = /(\d+) requests in ([\d.]+)(us|ms|s|m), ([\d.]+)([KMGT]?B?) read/.exec(text);
  if (total === null) throw new Error(`wrk said something else:\n${text}`);
  const [, requests, duration, durationUnit = "s", size, sizeUnit = "B"] = total;
  const [, p99 = "NaN", p99Unit = "ms"] = /^\s+99%\s+([\d.]+)(us|ms|s|m)/m.exec(text) ?? [];
  return {
    requests: Number(requests),
    seconds: (Number(duration) * (MS_PER[durationUnit] ?? Number.NaN)) / 1000,
    bytes: Number(size) * (UNITS[sizeUnit] ?? Number.NaN),
    p99Ms: Number(p99) * (MS_PER[p99Unit] ?? Number.NaN),
    errors: errorsIn(text),
  };
}

/** A timeout is no error: a large blob may take longer than the load. */
function errorsIn(text: string): number {
  const [, status = "0"] = /Non-2xx or 3xx responses: (\d+)/.exec(text) ?? [];
  const [, connect = "0", read = "0", write = "0"] =
    /Socket errors: connect (\d+), read (\d+), write (\d+)/.exec(text) ?? [];
  return Number(status) + Number(connect) + Number(read) + Number(write);
}

/** Runs wrk against a server and takes both sides' CPU time meanwhile. */
export async function runWrk(tools: Tools, processes: Processes, serverPid: number, call: LoadCall): Promise<Load> {
  const [before, machineBefore] = [await cpuSeconds(serverPid), await machineSeconds()];
  // `times` of the shell tells what wrk used.
  const script = '"$@" && times >&2';
  const finished = await processes.run(["/bin/sh", "-c", script, "sh", tools.path("wrk"), ...wrkArguments(call)], {
    cores: call.cores,
    timeoutMs: call.seconds * 1000 + SLACK_MS,
  });
  const serverCpuSeconds = (await cpuSeconds(serverPid)) - before;
  const machineCpuSeconds = (await machineSeconds()) - machineBefore;
  if (finished.exitCode !== 0) throw new Error(`wrk failed: ${finished.stderr}${finished.stdout}`);
  const output = parseWrk(finished.stdout);
  if (output.errors > 0) throw new Error(`${call.url}: ${output.errors} failed\n${finished.stdout}`);
  const generatorCpuSeconds = childSecondsIn(finished.stderr);
  const otherCpuSeconds = Math.max(0, machineCpuSeconds - serverCpuSeconds - generatorCpuSeconds);
  return { ...output, serverCpuSeconds, generatorCpuSeconds, otherCpuSeconds };
}

function wrkArguments({ url, connections, threads = 1, seconds, headers = {}, script }: LoadCall): string[] {
  const lines = Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
  const scripted = script === undefined ? [] : ["-s", script];
  return [
    `-t${threads}`,
    `-c${connections}`,
    `-d${seconds}s`,
    "--timeout",
    "60s",
    "--latency",
    ...scripted,
    ...lines,
    url,
  ];
}
