import type { CandidateName, Server, StartCall } from "../candidates/candidate.ts";
import type { Fixtures } from "../fixtures.ts";
import type { HeadLoad } from "../load/head.ts";
import type { Load, LoadCall } from "../load/wrk.ts";
import type { Cores, Finished } from "../lib/processes.ts";
import type { Upstream } from "../upstream.ts";

/** How a figure is written. */
export type Unit = "per second" | "bytes per second" | "bytes" | "seconds" | "ms" | "times" | "number";

/** One line of the table: one figure of each candidate. */
export interface Line {
  /** Key in what `run` returns. */
  readonly id: string;
  readonly label: string;
  readonly unit: Unit;
}

/**
 * What must hold, computed from the figures of a line: ours itself, ours divided by another candidate's, or ours minus another
 * candidate's. `atLeast` and `atMost` are in the line's basic unit (bytes, seconds, ...).
 */
export interface Requirement {
  readonly line: string;
  /** As a person reads it: `>= 50 x registry:2`. */
  readonly text: string;
  readonly compare: "value" | "ratio" | "difference";
  /** Missing with `value` only. */
  readonly to?: CandidateName;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface Row {
  readonly name: string;
  readonly lines: readonly Line[];
  readonly mustReach: readonly Requirement[];
  /** Who is measured; ours is the first. */
  readonly candidates: readonly CandidateName[];
  /** Measured once instead of in every round, and not with `--quick`: for what takes minutes. */
  readonly once?: boolean;
  /** One measurement of one candidate: the figures by line id. A line without a figure is left empty. */
  run(context: RowContext, candidate: CandidateName): Promise<Figures>;
}

export type Figures = Readonly<Record<string, number>>;

export interface ServerCall {
  /** `warm`: holds the hot image. `empty`: a new folder, which goes with the server. A path: that folder. */
  readonly data: "warm" | "empty" | { readonly folder: string };
  readonly cores: Cores;
  readonly workers: number;
  readonly tls: boolean;
  /** Behind the throttle instead of at the origin itself. */
  readonly throttled: boolean;
}

/** What a row works with. All that it starts here ends with the measurement. */
export interface RowContext {
  readonly fixtures: Fixtures;
  readonly seconds: number;
  readonly quick: boolean;
  readonly cores: CorePlan;
  readonly upstream: Upstream;
  /** Usual: warm, alone on its core, one worker, no TLS, straight to the origin. */
  start(candidate: CandidateName, call?: Partial<ServerCall>): Promise<Server>;
  /** Loads a path of a server with wrk. */
  wrk(server: Server, path: string, call: Pick<LoadCall, "connections"> & Partial<LoadCall>): Promise<Load>;
  /** The same with HEAD requests. */
  head(server: Server, path: string, connections: number): Promise<HeadLoad>;
  /** Runs `curl` or `skopeo` on the generator's core. */
  run(tool: "curl" | "skopeo", args: readonly string[], options?: { cores?: Cores }): Promise<Finished>;
  /** A new empty folder, gone after the measurement. */
  folder(): Promise<string>;
}

export interface CorePlan {
  /** For the candidate, alone. */
  readonly server: Cores;
  /** For the load generator, the origin and this harness. */
  readonly generator: Cores;
  readonly all: Cores;
  readonly allCount: number;
}

export type { StartCall };
