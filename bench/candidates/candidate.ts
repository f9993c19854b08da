import type { Fixtures } from "../fixtures.ts";
import type { Cores, Processes } from "../lib/processes.ts";
import type { Tools } from "../lib/tools.ts";

/** The columns of the table, in their order. */
export const CANDIDATES = [
  "ours",
  "registry:2",
  "distribution 3",
  "zot",
  "nginx sendfile",
  "nginx proxy_cache",
  "direct",
] as const;

export type CandidateName = (typeof CANDIDATES)[number];

/** What all candidates are started with. */
export interface StartCall {
  /** Of the registry that it caches. */
  readonly upstream: string;
  /** Its own, empty or warm; what it writes below is kept until the folder is removed. */
  readonly dataDir: string;
  /** For configuration and log of this start; unlike `dataDir` always a new one. */
  readonly scratchDir: string;
  readonly cores: Cores;
  /** How many processes serve, where the candidate can choose. */
  readonly workers: number;
  readonly tls: boolean;
  /** For ours only: such as NODE_OPTIONS of a profiler. */
  readonly environment: Readonly<Record<string, string>>;
}

/** A candidate that runs. */
export interface Server {
  /** `http://127.0.0.1:PORT`; the paths below are the same for all. */
  readonly url: string;
  /** Of its first process; undefined where there is none (direct). */
  readonly pid: number | undefined;
  /** From the start of the program until it answered. */
  readonly readyMs: number;
  readonly stop: () => Promise<void>;
}

/** What candidates may use. */
export interface Workshop {
  readonly tools: Tools;
  readonly processes: Processes;
  readonly fixtures: Fixtures;
  /** PEM files of a certificate for 127.0.0.1. */
  readonly certFile: string;
  readonly keyFile: string;
  /** The warm data folder of ours, whose bytes nginx serves as they lie. */
  readonly ourDataDir: string;
}

export interface Candidate {
  readonly name: CandidateName;
  /** What exactly it is, for the head of the results. */
  version(): Promise<string>;
  start(workshop: Workshop, call: StartCall): Promise<Server>;
  /** Fetches into a cache of its own; false for what has everything (or nothing) from the start. */
  readonly caches: boolean;
}

/** One that cannot run here, and why. It keeps its column. */
export interface Missing {
  readonly name: CandidateName;
  readonly reason: string;
}
