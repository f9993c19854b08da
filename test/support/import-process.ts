import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import type { Config } from "../../src/config/config.ts";
import { importImages, type ImportRequest } from "../../src/import.ts";
import { ImportTally } from "../../src/upkeep/import/report.ts";

/** When an import kills its own process: so long after it has read so many bytes. */
export interface Death {
  readonly bytes: number;
  readonly ms: number;
}

const SELF = fileURLToPath(import.meta.url);

/** Runs an import in a process of its own; says whether that was killed (SIGKILL) before it had come to its end. */
export async function importAndDie(config: Config, request: ImportRequest, death: Death): Promise<boolean> {
  const child = fork(
    SELF,
    [config, request, death].map((one) => JSON.stringify(one)),
    { stdio: "inherit" },
  );
  const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  if (signal === null && code !== 0) throw new Error(`the import ended with ${code}`);
  return signal === "SIGKILL";
}

async function main(config: Config, request: ImportRequest, { bytes, ms }: Death): Promise<void> {
  const tally = new ImportTally();
  let read = 0;
  Object.defineProperty(tally, "bytesRead", {
    get: () => read,
    set: (value: number) => {
      if (read < bytes && value >= bytes) setTimeout(() => process.kill(process.pid, "SIGKILL"), ms).unref();
      read = value;
    },
  });
  await importImages(config, request, {
    log: pino({ level: process.env["TEST_LOG_LEVEL"] ?? "silent" }),
    signal: new AbortController().signal,
    tally,
    onPlan: () => undefined,
    onCatalog: () => undefined,
  });
  process.disconnect();
}

const [, self, ...given] = process.argv;
if (self === SELF && given.length === 3) {
  const [config, request, death] = given.map((one) => JSON.parse(one) as unknown);
  await main(config as Config, request as ImportRequest, death as Death);
}
