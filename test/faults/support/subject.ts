import { fork } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { createApp } from "../../../src/app.ts";
import type { Config } from "../../../src/config/config.ts";
import { tempDir, type HasAfter } from "../../support/temp.ts";

/** The cache in a process of its own, to be killed, starved and looked into. */
export interface Subject {
  readonly url: string;
  readonly pid: number;
  /** The processes that it started and that live now. */
  children(): Promise<number[]>;
  /** False once it has ended, however. */
  isAlive(): boolean;
  /** Resolves when no fill, question, record or rebuild of the catalog is under way. */
  idle(): Promise<void>;
  /** What it holds open, counted when everything else that was asked of it before has been answered. */
  resources(): Promise<Resources>;
  /** What it has logged so far, of level `warn` and above. */
  log(): Promise<LogLine[]>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  terminate(): Promise<number | null>;
}

export interface Resources {
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
  /** What the event loop waits for (`Timeout`, `TCPSocketWrap`, ...), counted by kind. */
  readonly active: Readonly<Record<string, number>>;
  readonly descriptors: number;
}

export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly digest?: string;
}

/** Pino's number for the level. */
export const ERROR_LEVEL = 50;

export interface SubjectOptions {
  /** Modules that are loaded before the cache. */
  readonly imports?: readonly string[];
  /** Further variables. */
  readonly environment?: Readonly<Record<string, string>>;
}

type Question = "idle" | "resources";
type Reply =
  | { readonly kind: "listening"; readonly address: string }
  | { readonly kind: "idle" }
  | { readonly kind: "resources"; readonly resources: Omit<Resources, "descriptors"> };

const SELF = fileURLToPath(import.meta.url);
/** As `bin/registry-cache` does; the collector, so that garbage is not taken for a leak. */
const AS_STARTED = ["--max-semi-space-size=8", "--expose-gc"];

export async function startSubject(t: HasAfter, config: Config, options: SubjectOptions = {}): Promise<Subject> {
  const logPath = join(await tempDir(t), "log");
  const child = fork(SELF, [JSON.stringify(config), logPath], {
    stdio: "inherit",
    execArgv: [...AS_STARTED, ...(options.imports ?? []).flatMap((path) => ["--import", path])],
    env: { ...process.env, ...options.environment },
  });
  const gone = once(child, "exit") as Promise<[number | null, string | null]>;
  t.after(async () => {
    child.kill("SIGKILL");
    await gone;
  });
  const replied = async (kind: Reply["kind"]): Promise<Reply> => {
    const { promise, resolve } = Promise.withResolvers<Reply>();
    const hear = (reply: Reply) => reply.kind === kind && resolve(reply);
    child.on("message", hear);
    try {
      return await Promise.race([promise, died(gone, logPath)]);
    } finally {
      child.off("message", hear);
    }
  };
  const ask = async (question: Question): Promise<Reply> => {
    const reply = replied(question);
    child.send(question);
    return await reply;
  };
  const listening = await replied("listening");
  const pid = child.pid as number;
  return {
    url: listening.kind === "listening" ? `http://${listening.address}` : "",
    pid,
    children: async () => {
      const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
      return text.split(" ").filter(Boolean).map(Number);
    },
    isAlive: () => child.exitCode === null && child.signalCode === null,
    idle: async () => void (await ask("idle")),
    resources: async () => {
      const reply = await ask("resources");
      if (reply.kind !== "resources") throw new Error(`answered ${reply.kind}`);
      return { ...reply.resources, descriptors: (await readdir(`/proc/${pid}/fd`)).length };
    },
    log: async () => await linesOf(logPath),
    kill: async () => {
      child.kill("SIGKILL");
      await gone;
    },
    terminate: async () => {
      child.kill("SIGTERM");
      return (await gone)[0];
    },
  };
}

async function died(gone: Promise<[number | null, string | null]>, logPath: string): Promise<never> {
  const [code, signal] = await gone;
  const log = await readFile(logPath, "utf8").catch(() => "");
  throw new Error(`the cache's process ended with ${code ?? signal} when it was to answer\n${log.slice(-4000)}`);
}

async function linesOf(logPath: string): Promise<LogLine[]> {
  const lines = (await readFile(logPath, "utf8")).split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as LogLine);
}

async function main(config: Config, logPath: string): Promise<void> {
  const log = pino({ level: "warn" }, pino.destination({ dest: logPath, sync: true }));
  const app = await createApp(config, log);
  process.once("SIGTERM", () => void app.stop().then(() => process.exit(0)));
  const tell = (reply: Reply) => process.send?.(reply);
  process.on("message", (question: Question) => {
    if (question === "idle") void app.idle().then(() => tell({ kind: "idle" }));
    else tell({ kind: "resources", resources: ownResources() });
  });
  const { addresses } = await app.start();
  tell({ kind: "listening", address: addresses[0] as string });
}

function ownResources(): Omit<Resources, "descriptors"> {
  globalThis.gc?.();
  const active: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) active[kind] = (active[kind] ?? 0) + 1;
  const { rss, heapUsed } = process.memoryUsage();
  return { residentBytes: rss, heapUsedBytes: heapUsed, active };
}

if (process.argv[1] === SELF && process.argv[2] !== undefined && process.argv[3] !== undefined) {
  await main(JSON.parse(process.argv[2]) as Config, process.argv[3]);
}
