import { readFileSync, writeFileSync } from "node:fs";
import { glob } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { tempDir, type HasAfter } from "../../support/temp.ts";
import { isLong } from "./fault.ts";
import type { SubjectOptions } from "./subject.ts";

const SHIFT_FILE = "FAULTS_CLOCK_SHIFT_FILE";

/** The wall clock of a process under test, that can be stepped while it runs; the monotonic one goes on as it is. */
export interface SteppedClock {
  readonly options: SubjectOptions;
  /** How far it is from the true time from now on. */
  shiftTo(ms: number): Promise<void>;
}

/** In the long form by Debian's libfaketime where it is installed, which steps the clock under the whole process. */
export async function steppedClock(t: HasAfter): Promise<SteppedClock> {
  const file = join(await tempDir(t), "shift");
  const library = isLong ? await libfaketime() : undefined;
  const shiftTo = async (ms: number) => {
    const seconds = Math.trunc(ms / 1000);
    // In one write to the same file: its reader sees the old number or the new one.
    writeFileSync(file, (library === undefined ? String(ms) : `${seconds < 0 ? "" : "+"}${seconds}s`).padEnd(20));
  };
  await shiftTo(0);
  if (library === undefined) {
    return { options: { imports: [fileURLToPath(import.meta.url)], environment: { [SHIFT_FILE]: file } }, shiftTo };
  }
  const environment = {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    NO_FAKE_STAT: "1",
  };
  return { options: { environment }, shiftTo };
}

async function libfaketime(): Promise<string | undefined> {
  return (await Array.fromAsync(glob("/usr/lib/*/faketime/libfaketimeMT.so.1")))[0];
}

/** Read at each look at the clock: a step comes between any two of them, as a real one does. */
function stepWith(file: string): void {
  const TrueDate = Date;
  const trueNow = TrueDate.now;
  const now = (): number => trueNow() + Number(readFileSync(file, "utf8"));
  globalThis.Date = new Proxy(TrueDate, {
    construct: (target, its: unknown[]) => Reflect.construct(target, its.length === 0 ? [now()] : its) as Date,
    get: (target, key) => (key === "now" ? now : (Reflect.get(target, key) as unknown)),
  });
}

const given = process.env[SHIFT_FILE];
if (given !== undefined) stepWith(given);
