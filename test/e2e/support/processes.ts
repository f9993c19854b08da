import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { networkInterfaces } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

import { ask } from "../../support/client.ts";
import { SEARCH_PATH, toolPath } from "./tools.ts";

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;
const COMMAND_TIMEOUT_MS = 120_000;
const READY_POLL_MS = 50;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const LOG_TAIL_LINES = 25;

/**
 * Host names of the cache, which must reach every client without touching this machine's /etc/hosts: clients run in a
 * mount namespace of their own with another file bound over it. Their mounts vanish with that namespace.
 */
export const HOSTNAMES = { hub: "hub.cache.test", ghcr: "ghcr.cache.test", corp: "corp.cache.test" } as const;

/** The engine looks for certificates below /etc/docker alone; others have such folders too. */
const HOSTS_SCRIPT = `
mount --bind "$0" /etc/hosts
if [ -d "$0.docker" ]; then mount --bind "$0.docker" /etc/docker; fi
for folder in "$0.root"/etc/*; do
  if [ -d "$folder" ] && [ -d "/etc/\${folder##*/}" ]; then mount --bind "$folder" "/etc/\${folder##*/}"; fi
done
exec "$@"
`;

/** A name for an address of this machine that is not of the loopback, whose registries Docker Engine takes for insecure. */
export const OUTER_NAME = "outer.cache.test";

/** That address; undefined where the machine has no network. It is reached without leaving the machine. */
export function outerAddress(): string | undefined {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.find(({ family, internal }) => family === "IPv4" && !internal)?.address;
}

/** A daemon that runs until `stop`, with all its output in one file. */
export interface Daemon {
  readonly pid: number;
  readonly log: string;
  /** Sends SIGTERM, then SIGKILL to one that stays; resolves when it is gone. */
  stop(): Promise<void>;
  /** Sends SIGKILL, as a crash or the system's out-of-memory killer would. */
  kill(): Promise<void>;
}

/** Starts and runs programs under one temporary folder. */
export class Runner {
  readonly folder: string;
  readonly #hosts: string;
  readonly #hostsScript: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.#hosts = path.join(folder, "hosts");
    this.#hostsScript = HOSTS_SCRIPT;
  }

  static async create(folder: string): Promise<Runner> {
    const runner = new Runner(folder);
    const outer = outerAddress();
    const lines = [
      `127.0.0.1 localhost cache.test ${Object.values(HOSTNAMES).join(" ")}`,
      outer && `${outer} ${OUTER_NAME}`,
    ];
    await writeFile(runner.#hosts, lines.map((line) => `${line ?? ""}\n`).join(""));
    return runner;
  }

  /** What programs that are started from now on see as /etc/docker. */
  get etcDocker(): string {
    return `${this.#hosts}.docker`;
  }

  /** A host's files: each folder of its `etc` that is there is what programs that are started from now on see in its place. */
  get hostRoot(): string {
    return `${this.#hosts}.root`;
  }

  /** Runs a command to its end and gives its standard output; throws with all it said where it fails. */
  async run(command: readonly string[], env: Record<string, string> = {}): Promise<string> {
    const [file, ...args] = this.#wrapped(command);
    try {
      const options = {
        timeout: COMMAND_TIMEOUT_MS,
        maxBuffer: OUTPUT_BYTES_MAX,
        env: this.#env(env),
        cwd: this.folder,
      };
      const { stdout } = await promisify(execFile)(file, args, options);
      return stdout;
    } catch (error) {
      const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
      throw new Error(`${command.join(" ")}\n${stdout}${stderr}`.trim(), { cause: error });
    }
  }

  /** Starts a daemon and waits until `ready` says yes. */
  async start(
    name: string,
    command: readonly string[],
    options: { ready: () => Promise<boolean>; env?: Record<string, string> },
  ): Promise<Daemon> {
    const [file, ...args] = this.#wrapped(command);
    const log = path.join(this.folder, `${name}.log`);
    const output = openSync(log, "a");
    const env = this.#env(options.env ?? {});
    const child = spawn(file, args, { stdio: ["ignore", output, output], env, cwd: this.folder });
    closeSync(output);
    await once(child, "spawn");
    const stop = (): Promise<void> => endChild(child, "SIGTERM");
    const daemon: Daemon = { pid: child.pid ?? 0, log, stop, kill: () => endChild(child, "SIGKILL") };
    try {
      await untilReady(name, child, options.ready);
    } catch (error) {
      await daemon.stop();
      const tail = (await readFile(log, "utf8")).split("\n").slice(-LOG_TAIL_LINES).join("\n");
      throw new Error(`${name} did not start\n${tail}`, { cause: error });
    }
    return daemon;
  }

  /** In a mount namespace with our host names; `setpriv` ends the program should this process die without tidying up. */
  #wrapped([tool = "", ...args]: readonly string[]): [string, ...string[]] {
    const wrappers = [
      "--pdeathsig",
      "TERM",
      toolPath("unshare"),
      "--mount",
      "sh",
      "-c",
      this.#hostsScript,
      this.#hosts,
    ];
    return [toolPath("setpriv"), ...wrappers, tool, ...args];
  }

  /** The proxy is a closed port: a client that gives up on the cache fails at once instead of asking the internet. */
  #env(more: Record<string, string>): Record<string, string> {
    return {
      PATH: SEARCH_PATH,
      HOME: this.folder,
      XDG_RUNTIME_DIR: this.folder,
      TMPDIR: this.folder,
      LANG: "C.UTF-8",
      HTTPS_PROXY: "http://127.0.0.1:9",
      // All names of this machine; axios, with which the cache asks an authority, does not know loopback by itself.
      NO_PROXY: "127.0.0.1,localhost,.cache.test",
      ...more,
    };
  }
}

async function untilReady(name: string, child: ChildProcess, ready: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await ready())) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
    if (Date.now() > deadline) throw new Error(`${name} was not ready after ${START_TIMEOUT_MS} ms`);
    await delay(READY_POLL_MS);
  }
}

async function endChild(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill(signal);
  const kill = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(kill);
}

/** Whether that URL answers with a success; an `https:` one by a certificate of that authority. */
export async function answers(url: string, ca?: string): Promise<boolean> {
  try {
    const { status } = await ask(url, ca === undefined ? {} : { ca });
    return status >= 200 && status < 300;
  } catch {
    return false;
  }
}

/** Whether somebody takes connections at that port of the loopback address. */
export async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** A TCP port of the loopback address that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
