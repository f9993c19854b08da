import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { createApp } from "../../src/app.ts";
import type { Config } from "../../src/config/config.ts";
import { LISTENER_LIMITS, type ListenerLimits } from "../../src/server/listener-server.ts";
import type { HasAfter } from "./temp.ts";

/** The cache in a process of its own, to be measured and killed. */
export interface CacheProcess {
  readonly url: string;
  /** Of each address, in their order. */
  readonly urls: readonly string[];
  readonly pid: number;
  /** The most memory it ever had resident, bytes. */
  peakResidentBytes(): Promise<number>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  terminate(): Promise<number | null>;
}

/** As `bin/registry-cache` does. */
const AS_STARTED = ["--max-semi-space-size=8"];

const SELF = fileURLToPath(import.meta.url);

/** `limits` are those of its listener that differ from what the program has. */
export async function startCacheProcess(
  t: HasAfter,
  config: Config,
  limits: Partial<ListenerLimits> = {},
): Promise<CacheProcess> {
  const child = fork(SELF, [JSON.stringify(config), JSON.stringify(limits)], {
    stdio: "inherit",
    execArgv: AS_STARTED,
  });
  const gone = once(child, "exit") as Promise<[number | null]>;
  t.after(async () => {
    child.kill("SIGKILL");
    await gone;
  });
  const [addresses] = (await Promise.race([once(child, "message"), died(gone)])) as [string[]];
  const urls = addresses.map((address) => `http://${address}`);
  return {
    url: urls[0] ?? "",
    urls,
    pid: child.pid as number,
    peakResidentBytes: async () => await peakResidentBytes(child),
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

async function died(gone: Promise<[number | null]>): Promise<never> {
  const [code] = await gone;
  throw new Error(`the cache's process ended with ${code} before it listened`);
}

async function peakResidentBytes(child: ChildProcess): Promise<number> {
  const status = await readFile(`/proc/${child.pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

async function main(config: Config, limits: Partial<ListenerLimits>): Promise<void> {
  const log = pino({ level: process.env["TEST_LOG_LEVEL"] ?? "silent" });
  const app = await createApp(config, log, { ...LISTENER_LIMITS, ...limits });
  process.once("SIGTERM", () => void app.stop().then(() => process.exit(0)));
  const { addresses } = await app.start();
  process.send?.(addresses);
}

if (process.argv[1] === SELF && process.argv[2] !== undefined) {
  await main(JSON.parse(process.argv[2]) as Config, JSON.parse(process.argv[3] ?? "{}") as Partial<ListenerLimits>);
}
