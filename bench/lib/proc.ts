import { readFile } from "node:fs/promises";
import { treeOf } from "./processes.ts";

/** `sysconf(_SC_CLK_TCK)`: 100 on every Linux of today (proc(5) calls it USER_HZ). */
const TICKS_PER_SECOND = 100;

/** User and system time of one `/proc/<pid>/stat`, all threads together. */
export function cpuSecondsIn(stat: string): number {
  // The name in parentheses may have spaces and parentheses in it, hence the last one.
  if (stat === "") return 0;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** CPU time that all programs of the machine, and its hypervisor's others (steal), took: the first line of `/proc/stat`. */
export function machineSecondsIn(stat: string): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, steal = 0] = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? "")
    .split(" ")
    .map(Number);
  return (user + nice + system + irq + softIrq + steal) / TICKS_PER_SECOND;
}

/** Bytes of `VmRSS` in a `/proc/<pid>/status`. */
export function residentBytesIn(status: string): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
}

/**
 * Seconds that the children of a shell took, from what POSIX `times` prints: one line for the shell, one for its children,
 * each with user and system time.
 */
export function childSecondsIn(times: string): number {
  const all = [...times.matchAll(/(\d+)m([\d.]+)s/g)].map(
    ([, minutes, seconds]) => Number(minutes) * 60 + Number(seconds),
  );
  const [user, system] = all.slice(-2);
  return (user ?? Number.NaN) + (system ?? Number.NaN);
}

/** Empty for a process that has ended meanwhile. */
async function textOf(file: string): Promise<string> {
  return await readFile(file, "utf8").catch(() => "");
}

export async function machineSeconds(): Promise<number> {
  return machineSecondsIn(await textOf("/proc/stat"));
}

/** CPU time that a server and all its processes have used so far. */
export async function cpuSeconds(pid: number): Promise<number> {
  const each = (await treeOf(pid)).map(async (one) => cpuSecondsIn(await textOf(`/proc/${one}/stat`)));
  return sum(await Promise.all(each));
}

/** Resident memory of each process of a server, its first one first. */
export async function residentBytes(pid: number): Promise<number[]> {
  const each = (await treeOf(pid)).map(async (one) => residentBytesIn(await textOf(`/proc/${one}/status`)));
  return await Promise.all(each);
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
