import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";
import { selfSignedCertificate } from "../test/support/certificate.ts";
import type { Candidate, CandidateName, Server, StartCall, Workshop } from "./candidates/candidate.ts";
import { type Fixtures, writeFixtures } from "./fixtures.ts";
import { Processes } from "./lib/processes.ts";
import type { Tools } from "./lib/tools.ts";
import { runHead } from "./load/head.ts";
import { runWrk } from "./load/wrk.ts";
import type { Options } from "./options.ts";
import { type Origin, startOrigin } from "./origin.ts";
import type { CorePlan, Figures, Row, RowContext, ServerCall } from "./rows/row.ts";
import { Upstream } from "./upstream.ts";
import { warm } from "./warm.ts";

const USUAL: ServerCall = { data: "warm", cores: "0", workers: 1, tls: false, throttled: false };
const COMMAND_TIMEOUT_MS = 600_000;

export interface BenchParts {
  readonly tools: Tools;
  readonly candidates: readonly Candidate[];
  /** Where ours writes CPU profiles while it is measured; undefined where it is not to be slowed by that. */
  readonly profiles: string | undefined;
}

/** The folder, the origin, the fixtures and the candidates of one run. */
export class Bench {
  readonly #options: Options;
  readonly #tools: Tools;
  readonly #candidates: ReadonlyMap<CandidateName, Candidate>;
  readonly #processes: Processes;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #stops: (() => Promise<void>)[] = [];
  readonly #warm = new Map<CandidateName, Promise<string>>();
  readonly #cores = planCores();

  private constructor(options: Options, { tools, candidates, profiles }: BenchParts) {
    this.#options = options;
    this.#tools = tools;
    const flags = `--cpu-prof --cpu-prof-dir=${profiles}`;
    this.#environment = profiles === undefined ? {} : { NODE_OPTIONS: flags };
    this.#candidates = new Map(candidates.map((one) => [one.name, one]));
    this.#processes = new Processes(tools);
  }

  static async create(options: Options, parts: BenchParts): Promise<Bench> {
    const bench = new Bench(options, parts);
    try {
      await bench.#prepare();
      return bench;
    } catch (error) {
      await bench.end();
      throw error;
    }
  }

  /** Set by `#prepare`. */
  #ready: { folder: string; workshop: Workshop; fixtures: Fixtures; origin: Origin; upstream: Upstream } | undefined;

  async #prepare(): Promise<void> {
    const folder = await mkdtemp(path.join(tmpdir(), "registry-cache-bench-"));
    this.#stops.push(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
    this.#stops.push(() => this.#processes.endAll());
    const root = path.join(folder, "origin");
    const fixtures = await writeFixtures(root, this.#options.quick);
    const origin = await startOrigin(this.#tools, this.#processes, {
      root,
      folder: path.join(folder, "origin-scratch"),
      cores: this.#cores.generator,
    });
    const upstream = await Upstream.start(origin.url);
    this.#stops.push(() => Promise.resolve(upstream.stop()));
    const [certFile, keyFile] = [path.join(folder, "cert.pem"), path.join(folder, "key.pem")];
    const { cert, key } = selfSignedCertificate();
    await writeFile(certFile, cert);
    await writeFile(keyFile, key);
    const workshop = {
      tools: this.#tools,
      processes: this.#processes,
      fixtures,
      certFile,
      keyFile,
      ourDataDir: path.join(folder, "warm", "ours"),
    };
    this.#ready = { folder, workshop, fixtures, origin, upstream };
  }

  get #world() {
    if (this.#ready === undefined) throw new Error("not prepared");
    return this.#ready;
  }

  /** One figure of one candidate: starts it, measures, stops it. */
  async measure(row: Row, name: CandidateName): Promise<Figures> {
    const stops: (() => Promise<void>)[] = [];
    const endsWith = (stop: () => Promise<void>): void => void stops.push(stop);
    try {
      return await row.run(this.#context(endsWith), name);
    } finally {
      for (const stop of stops.toReversed()) await stop();
    }
  }

  /** Ends all processes and removes the folder. */
  async end(): Promise<void> {
    for (const stop of this.#stops.splice(0).toReversed()) await stop();
  }

  #context(endsWith: (stop: () => Promise<void>) => void): RowContext {
    const { fixtures, upstream } = this.#world;
    const folder = async (): Promise<string> => {
      const made = await mkdtemp(path.join(this.#world.folder, "row-"));
      endsWith(() => rm(made, { recursive: true, force: true, maxRetries: 5 }));
      return made;
    };
    return {
      fixtures,
      upstream,
      seconds: this.#options.seconds,
      quick: this.#options.quick,
      cores: this.#cores,
      folder,
      start: async (name, call = {}) => {
        const full = { ...USUAL, ...call };
        const dataDir = await this.#dataDir(name, full, folder);
        const environment = name === "ours" ? this.#environment : {};
        const server = await this.#start(name, { ...full, environment, dataDir, scratchDir: await folder() });
        endsWith(server.stop);
        return server;
      },
      wrk: async (server, below, call) => {
        const url = `${server.url}${below}`;
        const target = { url, seconds: this.#options.seconds, cores: this.#cores.generator, ...call };
        return await runWrk(this.#tools, this.#processes, pidOf(server), target);
      },
      head: async (server, below, connections) => {
        const url = `${server.url}${below}`;
        const target = { url, connections, seconds: this.#options.seconds, cores: this.#cores.generator };
        return await runHead(this.#tools, this.#processes, pidOf(server), target);
      },
      run: async (tool, args, { cores = this.#cores.generator } = {}) => {
        const call = { cores, timeoutMs: COMMAND_TIMEOUT_MS, env: { TMPDIR: this.#world.folder } };
        return await this.#processes.run([this.#tools.path(tool), ...args], call);
      },
    };
  }

  async #start(name: CandidateName, call: ServerCall & Omit<StartCall, "upstream">): Promise<Server> {
    const candidate = this.#candidates.get(name);
    if (candidate === undefined) throw new Error(`${name} is not there`);
    const { workshop, upstream, origin } = this.#world;
    return await candidate.start(workshop, { ...call, upstream: call.throttled ? upstream.url : origin.url });
  }

  async #dataDir(name: CandidateName, { data }: ServerCall, folder: () => Promise<string>): Promise<string> {
    if (data === "empty") return await folder();
    if (data !== "warm") return data.folder;
    // Nginx serves what ours holds.
    if (name === "nginx sendfile") return await this.#warmFolder("ours");
    return await this.#warmFolder(name);
  }

  /** Filled once, when it is first needed, and then used by every start. */
  #warmFolder(name: CandidateName): Promise<string> {
    const made = this.#warm.get(name) ?? this.#fill(name);
    this.#warm.set(name, made);
    return made;
  }

  async #fill(name: CandidateName): Promise<string> {
    const { folder, fixtures, upstream } = this.#world;
    const dataDir = path.join(folder, "warm", name.replaceAll(/\W+/g, "-"));
    const scratchDir = `${dataDir}-scratch`;
    await mkdir(dataDir, { recursive: true });
    await mkdir(scratchDir, { recursive: true });
    const call = { ...USUAL, cores: this.#cores.all, throttled: true, environment: {}, dataDir, scratchDir };
    const server = await this.#start(name, call);
    try {
      await warm(server, upstream, fixtures.hot);
    } finally {
      await server.stop();
    }
    return dataDir;
  }
}

function pidOf({ url, pid }: Server): number {
  if (pid === undefined) throw new Error(`${url} has no process of its own`);
  return pid;
}

/** The candidate alone on the first core; everything else on the second. */
function planCores(): CorePlan {
  const allCount = availableParallelism();
  const all = Array.from({ length: allCount }, (_, core) => core).join(",");
  return { server: "0", generator: allCount > 1 ? "1" : "0", all, allCount };
}
