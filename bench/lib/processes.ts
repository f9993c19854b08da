import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Tools } from "./tools.ts";

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;
const READY_POLL_MS = 2;
const LOG_TAIL_LINES = 20;
const OUTPUT_CHARS_MAX = 16 * 1024 * 1024;

/** `0`, `1`, `0,1`: as `taskset` takes it. */
export type Cores = string;

export interface Daemon {
  readonly pid: number;
  /** From the start of the program until it was ready. */
  readonly readyMs: number;
  readonly stop: () => Promise<void>;
}

export interface DaemonCall {
  readonly command: readonly string[];
  readonly cores: Cores;
  /** All it says goes there. */
  readonly log: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly ready: () => Promise<boolean>;
}

export interface Finished {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number | null;
  readonly wallSeconds: number;
}

export interface RunCall {
  readonly cores: Cores;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** Whoever runs this does not want it any more. */
export class InterruptedError extends Error {
  override readonly name = "InterruptedError";
}

/** Starts programs on chosen cores, and ends all of them, whatever happens. */
export class Processes {
  readonly #tools: Tools;
  readonly #children = new Set<ChildProcess>();
  readonly #signal: AbortSignal;

  constructor(tools: Tools, signal: AbortSignal) {
    this.#tools = tools;
    this.#signal = signal;
    signal.addEventListener("abort", () => void this.endAll(), { once: true });
  }

  async start(call: DaemonCall): Promise<Daemon> {
    const output = openSync(call.log, "a");
    const startedAt = performance.now();
    const { cores, env = {} } = call;
    const child = this.#spawn(call.command, { cores, env, stdio: ["ignore", output, output] });
    closeSync(output);
    await once(child, "spawn");
    try {
      await untilReady(child, call.ready);
    } catch (error) {
      await end(child);
      throw new Error(`${call.command.join(" ")}: ${String(error)}\n${await tailOf(call.log)}`, { cause: error });
    }
    return { pid: child.pid ?? 0, readyMs: performance.now() - startedAt, stop: () => end(child) };
  }

  /** Runs a program to its end. It is not an error when it ends with another code than 0. */
  async run(command: readonly string[], call: RunCall): Promise<Finished> {
    const startedAt = performance.now();
    const child = this.#spawn(command, { ...call, stdio: ["ignore", "pipe", "pipe"] });
    const closed = once(child, "close");
    const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
    const timer = setTimeout(() => child.kill("SIGKILL"), call.timeoutMs);
    try {
      await closed;
    } finally {
      clearTimeout(timer);
    }
    const wallSeconds = (performance.now() - startedAt) / 1000;
    return { stdout: stdout(), stderr: stderr(), exitCode: child.exitCode, wallSeconds };
  }

  /** Ends what still runs. */
  async endAll(): Promise<void> {
    await Promise.all([...this.#children].map(end));
  }

  /** `setpriv` ends the program also when this process is killed. */
  #spawn(
    command: readonly string[],
    { cores, env, cwd, stdio }: Partial<RunCall> & { cores: Cores; stdio: ("ignore" | "pipe" | number)[] },
  ): ChildProcess {
    this.#signal.throwIfAborted();
    const wrapped = ["--pdeathsig", "TERM", this.#tools.path("taskset"), "-c", cores, ...command];
    const child = spawn(this.#tools.path("setpriv"), wrapped, {
      stdio,
      env: { ...process.env, ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    this.#children.add(child);
    child.once("close", () => this.#children.delete(child));
    return child;
  }
}

async function untilReady(child: ChildProcess, ready: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!(await ready())) {
    if (!isRunning(child)) throw new Error(`ended with ${child.exitCode}`);
    if (performance.now() > deadline) throw new Error(`not ready after ${START_TIMEOUT_MS} ms`);
    await delay(READY_POLL_MS);
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

async function end(child: ChildProcess): Promise<void> {
  if (!isRunning(child)) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
}

function collect(stream: ChildProcess["stdout"]): () => string {
  let text = "";
  stream?.setEncoding("utf8").on("data", (piece: string) => {
    if (text.length < OUTPUT_CHARS_MAX) text += piece;
  });
  return () => text;
}

async function tailOf(log: string): Promise<string> {
  return (await readFile(log, "utf8")).split("\n").slice(-LOG_TAIL_LINES).join("\n");
}

/** A process and all below it. */
export async function treeOf(pid: number): Promise<number[]> {
  const found = [pid];
  for (const at of found) found.push(...(await childrenOf(at)));
  return found;
}

/** A thread may have started the child, so all of them are asked. */
async function childrenOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch((): string[] => []);
  const lists = threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, "utf8").catch(() => ""));
  return (await Promise.all(lists)).flatMap((list) => list.split(" ").filter(Boolean).map(Number));
}
