import { readFile, stat } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import { humanSize } from "../lib/human.ts";
import { type Check, type Finding, ok, warning } from "./finding.ts";

/** What the cache has of this machine. */
export interface Machine {
  /** Files and connections at once; undefined where nobody knows. */
  readonly openFilesMax: number | undefined;
  /** Whether that is the running cache's, not this program's. */
  readonly isOfCache: boolean;
  readonly cores: number;
  readonly workers: number;
  /** For all processes of it, or of the machine. */
  readonly memoryBytes: number;
}

export function machineCheck(dataDir: string, workers: number): Check {
  return { title: "Machine", look: async () => judgeMachine(await lookAt(dataDir, workers)) };
}

async function lookAt(dataDir: string, workers: number): Promise<Machine> {
  const pid = await pidOfOwner(join(dataDir, "lock.sqlite"));
  const limits = await readFile(`/proc/${pid ?? "self"}/limits`, "utf8").catch(() => "");
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  const constrained = process.constrainedMemory();
  return {
    openFilesMax: soft === undefined ? undefined : soft === "unlimited" ? Infinity : Number(soft),
    isOfCache: pid !== undefined,
    cores: availableParallelism(),
    workers,
    memoryBytes: constrained > 0 ? Math.min(constrained, totalmem()) : totalmem(),
  };
}

/** Who holds the lock of the data folder, by the kernel's list: device, inode, process. Not by opening it, which would end nobody's lock but our own. */
async function pidOfOwner(lock: string): Promise<number | undefined> {
  try {
    const { ino } = await stat(lock);
    const line = (await readFile("/proc/locks", "utf8")).split("\n").find((one) => new RegExp(`:${ino} `).test(one));
    const pid = Number(/^\d+: \S+\s+\S+\s+\S+\s+(\d+) /.exec(line ?? "")?.[1] ?? 0);
    return pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** A client that pulls has some connections, each with a file behind it. */
const OPEN_FILES_MIN = 4_096;
/** Besides 100 MB for each process, the readers' buffers. */
const MEMORY_BYTES_MIN = 256 * 1024 * 1024;
const MEMORY_PER_WORKER_BYTES = 150 * 1024 * 1024;

export function judgeMachine({ openFilesMax, isOfCache, cores, workers, memoryBytes }: Machine): readonly Finding[] {
  const found: Finding[] = [];
  const whose = isOfCache ? "the running cache" : "this shell";
  if (openFilesMax !== undefined && openFilesMax < OPEN_FILES_MIN) {
    found.push(
      warning(
        `${whose} may have ${openFilesMax} files and connections open at once`,
        "raise it: LimitNOFILE=65536 in the systemd unit, ulimits: nofile in Compose, ulimit -n in a shell",
      ),
    );
  } else if (openFilesMax !== undefined) {
    found.push(
      ok(`${whose} may have ${openFilesMax === Infinity ? "any number of" : openFilesMax} files and connections open`),
    );
  }
  const wanted = MEMORY_BYTES_MIN + (workers > 1 ? workers * MEMORY_PER_WORKER_BYTES : 0);
  const memory = `${humanSize(memoryBytes)} of memory for ${workers === 1 ? "one process" : `${workers} workers`}, on ${cores} ${cores === 1 ? "core" : "cores"}`;
  found.push(
    memoryBytes < wanted
      ? warning(memory, workers > 1 ? "fewer `workers`, or more memory" : "more memory: a crowd of clients needs some")
      : ok(memory),
  );
  return found;
}
