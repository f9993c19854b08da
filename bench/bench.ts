import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import path from "node:path";
import type { Candidate, CandidateName, Server, StartCall } from "./candidates/candidate.ts";
import { type Spread, spreadOf } from "./lib/statistics.ts";
import { runHead } from "./load/head.ts";
import { runWrk } from "./load/wrk.ts";
import type { CorePlan, Figures, Row, RowContext, ServerCall } from "./rows/row.ts";
import { warm } from "./warm.ts";
import type { World } from "./world.ts";

const USUAL: ServerCall = { data: "warm", cores: "0", workers: 1, tls: false, throttled: false };
const COMMAND_TIMEOUT_MS = 600_000;

export interface BenchParts {
  readonly world: World;
  readonly candidates: readonly Candidate[];
  readonly cores: CorePlan;
  readonly seconds: number;
  readonly quick: boolean;
  /** Where ours writes CPU profiles while it is measured; undefined where it is not to be slowed by that. */
  readonly profiles: string | undefined;
}

type EndsWith = (stop: () => Promise<void>) => void;

/** Measures one row with one candidate. */
export class Bench {
  readonly #parts: BenchParts;
  readonly #candidates: ReadonlyMap<CandidateName, Candidate>;
  readonly #warm = new Map<CandidateName, Promise<string>>();
  readonly #others: number[] = [];
  readonly #ourEnvironment: Readonly<Record<string, string>>;

  constructor(parts: BenchParts) {
    this.#parts = parts;
    this.#candidates = new Map(parts.candidates.map((one) => [one.name, one]));
    const flags = `--cpu-prof --cpu-prof-dir=${parts.profiles}`;
    this.#ourEnvironment = parts.profiles === undefined ? {} : { NODE_OPTIONS: flags };
  }

  /** Cores that other programs took while wrk ran; undefined where it never did. */
  get others(): Spread | undefined {
    return spreadOf(this.#others);
  }

  /** What the row starts and makes ends with it. */
  async measure(row: Row, name: CandidateName): Promise<Figures> {
    const stops: (() => Promise<void>)[] = [];
    try {
      return await row.run(
        this.#context((stop) => void stops.push(stop)),
        name,
      );
    } finally {
      for (const stop of stops.toReversed()) await stop();
    }
  }

  #context(endsWith: EndsWith): RowContext {
    const { world, cores, seconds, quick } = this.#parts;
    const { tools, processes, fixtures } = world.workshop;
    return {
      fixtures,
      upstream: world.upstream,
      seconds,
      quick,
      cores,
      folder: () => this.#folder(endsWith),
      start: (name, call = {}) => this.#startFor(name, { ...USUAL, ...call }, endsWith),
      wrk: async (server, below, call) => {
        const target = { url: `${server.url}${below}`, seconds, cores: cores.generator, ...call };
        const load = await runWrk(tools, processes, pidOf(server), target);
        this.#others.push(load.otherCpuSeconds / load.seconds);
        return load;
      },
      head: async (server, below, connections) => {
        const target = { url: `${server.url}${below}`, connections, seconds, cores: cores.generator };
        return await runHead(tools, processes, pidOf(server), target);
      },
      run: async (tool, args, options = {}) => {
        const call = { cores: cores.generator, timeoutMs: COMMAND_TIMEOUT_MS, env: { TMPDIR: world.folder } };
        return await processes.run([tools.path(tool), ...args], { ...call, ...options });
      },
    };
  }

  async #folder(endsWith: EndsWith): Promise<string> {
    const made = await mkdtemp(path.join(this.#parts.world.folder, "row-"));
    endsWith(() => rm(made, { recursive: true, force: true, maxRetries: 5 }));
    return made;
  }

  async #startFor(name: CandidateName, call: ServerCall, endsWith: EndsWith): Promise<Server> {
    const { data } = call;
    const folder = data === "warm" ? this.#warmFolder(name) : data === "empty" ? this.#folder(endsWith) : data.folder;
    const [dataDir, scratchDir] = [await folder, await this.#folder(endsWith)];
    const environment = name === "ours" ? this.#ourEnvironment : {};
    const server = await this.#start(name, { ...call, environment, dataDir, scratchDir });
    endsWith(server.stop);
    return server;
  }

  async #start(name: CandidateName, call: ServerCall & Omit<StartCall, "upstream">): Promise<Server> {
    const candidate = this.#candidates.get(name);
    if (candidate === undefined) throw new Error(`${name} is not there`);
    const { workshop, upstream, origin } = this.#parts.world;
    return await candidate.start(workshop, { ...call, upstream: call.throttled ? upstream.url : origin.url });
  }

  /** Filled once, when it is first needed, and then used by every start. Nginx serves what ours holds. */
  #warmFolder(name: CandidateName): Promise<string> {
    const holder = name === "nginx sendfile" ? "ours" : name;
    const made = this.#warm.get(holder) ?? this.#fill(holder);
    this.#warm.set(holder, made);
    return made;
  }

  async #fill(name: CandidateName): Promise<string> {
    const { world, cores } = this.#parts;
    const dataDir = path.join(world.folder, "warm", name.replaceAll(/\W+/g, "-"));
    const scratchDir = `${dataDir}-scratch`;
    await mkdir(dataDir, { recursive: true });
    await mkdir(scratchDir, { recursive: true });
    const call = { ...USUAL, cores: cores.all, throttled: true, environment: {}, dataDir, scratchDir };
    const server = await this.#start(name, call);
    try {
      await warm(server, world.upstream, world.workshop.fixtures.hot);
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
export function planCores(): CorePlan {
  const allCount = availableParallelism();
  const all = Array.from({ length: allCount }, (_, core) => core).join(",");
  return { server: "0", generator: allCount > 1 ? "1" : "0", all, allCount };
}
