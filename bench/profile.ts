import { readdir, readFile } from "node:fs/promises";
import path from "node:path";

const SHOWN_MAX = 30;

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

/** What we read of V8's `.cpuprofile`. */
export interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[];
  /** Node ids, one a sample. */
  readonly samples: readonly number[];
  /** µs since the sample before. */
  readonly timeDeltas: readonly number[];
}

export interface Hot {
  readonly name: string;
  readonly ms: number;
}

/** Functions by the time spent in themselves, most first. */
export function hottest({ nodes, samples, timeDeltas }: CpuProfile): Hot[] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const times = new Map<string, number>();
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? "?";
    times.set(name, (times.get(name) ?? 0) + (timeDeltas[index] ?? 0) / 1000);
  }
  return [...times].map(([name, ms]) => ({ name, ms })).toSorted((a, b) => b.ms - a.ms);
}

/** Without the folders above the sources. */
function nameOf({ functionName, url, lineNumber }: CallFrame): string {
  const file = url.replace(/^file:\/\/.*?\/(?=(?:src|node_modules)\/)/, "");
  return `${functionName || "(anonymous)"}${file === "" ? "" : ` ${file}:${lineNumber + 1}`}`;
}

/** The profiles of one folder, each process by itself. */
export async function renderProfiles(folder: string): Promise<string> {
  const files = (await readdir(folder)).filter((name) => name.endsWith(".cpuprofile"));
  const parts = files.map(async (name) => {
    const file = path.join(folder, name);
    return `\n${file}\n${renderHot(hottest(JSON.parse(await readFile(file, "utf8")) as CpuProfile))}`;
  });
  return `${(await Promise.all(parts)).join("\n")}\n`;
}

/** Shares are of the time in which it had something to do. */
export function renderHot(all: readonly Hot[]): string {
  const busy = all.filter(({ name }) => name !== "(idle)");
  const total = busy.reduce((before, { ms }) => before + ms, 0);
  const lines = busy.slice(0, SHOWN_MAX).map(({ name, ms }) => {
    return `${((100 * ms) / total).toFixed(1).padStart(6)} %  ${ms.toFixed(0).padStart(7)} ms  ${name}`;
  });
  return [`busy for ${total.toFixed(0)} ms`, ...lines].join("\n");
}
