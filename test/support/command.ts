import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import type { Readable } from "node:stream";
import type { HasAfter } from "./temp.ts";

/** Generous: it only turns a hang into a message that shows what was said instead. */
const SAID_MAX_MS = 60_000;

/** The program, for `node`. */
export const MAIN = resolve(import.meta.dirname, "../../src/main.ts");

export interface Outcome {
  /** Undefined where a signal ended it. */
  readonly exitCode: number | undefined;
  readonly out: string;
  readonly err: string;
}

export interface Command {
  /** Resolves with the first match in standard output; rejects where the process ends, or stays, without one. */
  said(pattern: RegExp): Promise<RegExpExecArray>;
  readonly pid: number;
  signal(signal: NodeJS.Signals): void;
  ended(): Promise<Outcome>;
}

export interface CommandOptions {
  readonly cwd: string;
  /** The only variables that the command sees, besides the search path and where compiled sources are kept. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Starts `registry-cache <args>` as a process of its own, which ends with the test at the latest. */
export function startCommand(t: HasAfter, args: readonly string[], options: CommandOptions): Command {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: options.cwd,
    env: { PATH: process.env["PATH"], ...compiled(), ...options.environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = once(child, "close");
  const out = collect(child.stdout);
  const err = collect(child.stderr);
  t.after(async () => {
    if (isRunning(child)) child.kill("SIGKILL");
    await closed;
  });
  return {
    said: async (pattern) => await matchIn(out, pattern, closed, () => err.text),
    pid: child.pid ?? 0,
    signal: (signal) => void child.kill(signal),
    ended: async () => {
      await closed;
      return { exitCode: child.exitCode ?? undefined, out: out.text, err: err.text };
    },
  };
}

/** What the tests have compiled already. */
function compiled(): Readonly<Record<string, string>> {
  const folder = process.env["NODE_COMPILE_CACHE"];
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: folder };
}

/** Runs it to its end. */
export async function runCommand(t: HasAfter, args: readonly string[], options: CommandOptions): Promise<Outcome> {
  return await startCommand(t, args, options).ended();
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

interface Collected {
  readonly stream: Readable;
  text: string;
}

function collect(stream: Readable): Collected {
  const collected: Collected = { stream, text: "" };
  stream.setEncoding("utf8").on("data", (text: string) => {
    collected.text += text;
  });
  return collected;
}

async function matchIn(
  out: Collected,
  pattern: RegExp,
  closed: Promise<unknown>,
  errors: () => string,
): Promise<RegExpExecArray> {
  const found = Promise.withResolvers<RegExpExecArray>();
  const look = () => {
    const match = pattern.exec(out.text);
    if (match !== null) found.resolve(match);
  };
  out.stream.on("data", look);
  look();
  const never = closed.then(() => {
    throw new Error(`the command ended without saying ${pattern}\n${out.text}${errors()}`);
  });
  const timer = setTimeout(() => {
    found.reject(new Error(`the command has not said ${pattern} in ${SAID_MAX_MS} ms\n${out.text}${errors()}`));
  }, SAID_MAX_MS);
  try {
    return await Promise.race([found.promise, never]);
  } finally {
    clearTimeout(timer);
    out.stream.off("data", look);
  }
}
