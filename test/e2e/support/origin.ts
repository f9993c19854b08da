import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";

import { answers, type Daemon, freePort, type Runner } from "./processes.ts";
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
  readonly #daemon: Daemon;

  private constructor(port: number, daemon: Daemon) {
    this.host = `127.0.0.1:${port}`;
    this.url = `http://${this.host}`;
    this.#daemon = daemon;
  }

  static async start(runner: Runner): Promise<Origin> {
    const port = await freePort();
    const root = path.join(runner.folder, "origin");
    await mkdir(root);
    const config = path.join(runner.folder, "origin.yml");
    await writeFile(config, configuration(port, root));
    const ready = (): Promise<boolean> => answers(`http://127.0.0.1:${port}/v2/`);
    return new Origin(port, await runner.start("origin", [toolPath("docker-registry"), "serve", config], { ready }));
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

/** YAML is a superset of JSON. */
function configuration(port: number, root: string): string {
  return JSON.stringify({
    version: "0.1",
    log: { level: "warn", accesslog: { disabled: false } },
    storage: { filesystem: { rootdirectory: root } },
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
