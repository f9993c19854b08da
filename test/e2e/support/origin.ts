import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { hashSync } from "bcryptjs";

import { accepts, answers, type Daemon, freePort, type Runner } from "./processes.ts";
import { toolPath } from "./tools.ts";

/** One request as the upstream logged it. */
export interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly status: number;
}

/** The upstream registry: Debian's docker-registry on a loopback port, and what it was asked. */
export class Origin {
  readonly url: string;
  /** `127.0.0.1:PORT`, as image references want it. */
  readonly host: string;
  readonly #port: number;
  readonly #runner: Runner;
  #daemon: Daemon;

  private constructor(port: number, runner: Runner, daemon: Daemon) {
    this.host = `127.0.0.1:${port}`;
    this.url = `http://${this.host}`;
    this.#port = port;
    this.#runner = runner;
    this.#daemon = daemon;
  }

  static async start(runner: Runner): Promise<Origin> {
    const port = await freePort();
    await mkdir(path.join(runner.folder, "origin"));
    return new Origin(port, runner, await started(runner, port));
  }

  /** From now on nobody gets anything there without the password of one of these users. */
  async lock(users: Readonly<Record<string, string>>): Promise<void> {
    const lines = Object.entries(users).map(([user, password]) => `${user}:${hashSync(password, 4)}\n`);
    const htpasswd = path.join(this.#runner.folder, "origin.htpasswd");
    await writeFile(htpasswd, lines.join(""));
    await this.#daemon.stop();
    this.#daemon = await started(this.#runner, this.#port, htpasswd);
  }

  /** Every request so far, in the order in which they were answered. */
  async requests(): Promise<SeenRequest[]> {
    const log = await readFile(this.#daemon.log, "utf8");
    return log.split("\n").flatMap((line) => parseAccessLine(line) ?? []);
  }

  stop(): Promise<void> {
    return this.#daemon.stop();
  }
}

async function started(runner: Runner, port: number, htpasswd?: string): Promise<Daemon> {
  const config = path.join(runner.folder, "origin.yml");
  await writeFile(config, configuration(port, path.join(runner.folder, "origin"), htpasswd));
  // Whoever wants a password answers as well.
  const ready = (): Promise<boolean> =>
    htpasswd === undefined ? answers(`http://127.0.0.1:${port}/v2/`) : accepts(port);
  return await runner.start("origin", [toolPath("docker-registry"), "serve", config], { ready });
}

/** YAML is a superset of JSON. */
function configuration(port: number, root: string, htpasswd: string | undefined): string {
  return JSON.stringify({
    version: "0.1",
    log: { level: "warn", accesslog: { disabled: false } },
    storage: { filesystem: { rootdirectory: root } },
    ...(htpasswd === undefined ? {} : { auth: { htpasswd: { realm: "origin", path: htpasswd } } }),
    http: { addr: `127.0.0.1:${port}`, secret: "only for this run" },
  });
}

/** Reads the Apache "combined" format. */
function parseAccessLine(line: string): SeenRequest | undefined {
  const fields = /^\S+ - - \[[^\]]+\] "(?<method>[A-Z]+) (?<target>\S+) HTTP\/[\d.]+" (?<status>\d{3}) /.exec(
    line,
  )?.groups;
  if (fields === undefined) return undefined;
  const { method = "", target = "", status = "" } = fields;
  return { method, target, status: Number(status) };
}
