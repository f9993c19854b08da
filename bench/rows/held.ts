import type { CandidateName, Server } from "../candidates/candidate.ts";
import { blobPath, type Fixtures, MANIFEST_TYPE, manifestPath } from "../fixtures.ts";
import { drain } from "../lib/net.ts";
import type { Load } from "../load/wrk.ts";
import type { Figures, Line, Requirement, Row, RowContext } from "./row.ts";

/** All that serve what they hold. */
const HOLDERS: readonly CandidateName[] = [
  "ours",
  "registry:2",
  "distribution 3",
  "zot",
  "nginx sendfile",
  "nginx proxy_cache",
];
const WITH_TLS: readonly CandidateName[] = ["ours", "registry:2", "distribution 3", "nginx sendfile"];
const WARM_UP_SECONDS = 1;

export const REQUEST_LINES: readonly Line[] = [
  { id: "rate", label: "requests/s", unit: "per second" },
  { id: "ratePerCpu", label: "requests per CPU second of the server", unit: "per second" },
  { id: "p99", label: "p99", unit: "ms" },
];

export const BYTE_LINES: readonly Line[] = [
  { id: "bytes", label: "bytes/s", unit: "bytes per second" },
  { id: "bytesPerCpu", label: "bytes per CPU second of the server", unit: "bytes per second" },
  { id: "bytesPerBothCpu", label: "bytes per CPU second of both sides", unit: "bytes per second" },
];

export interface Target {
  readonly path: (fixtures: Fixtures) => string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly connections: number;
}

const AS_DOCKER = { Accept: MANIFEST_TYPE };

export const MANIFEST_BY_TAG: Target = { path: ({ hot }) => manifestPath(hot), headers: AS_DOCKER, connections: 16 };
const MANIFEST_BY_DIGEST: Target = {
  path: ({ hot }) => manifestPath(hot, hot.manifest.digest),
  headers: AS_DOCKER,
  connections: 16,
};
export const SMALL_BLOB: Target = { path: ({ hot, small }) => blobPath(hot, small), connections: 16 };
const LARGE_BLOB: Target = { path: ({ hot, large }) => blobPath(hot, large), connections: 4 };

function atLeast(line: string, factor: number, to: CandidateName, digits = 0): Requirement {
  return { line, compare: "ratio", to, atLeast: factor, text: `>= ${factor.toFixed(digits)} x ${to}` };
}

const HEAD_ROW: Row = {
  name: "HEAD blob, held, 16 connections",
  lines: REQUEST_LINES.filter(({ id }) => id !== "p99"),
  mustReach: [atLeast("rate", 15, "registry:2")],
  candidates: HOLDERS,
  run: async (context, candidate) => {
    const server = await context.start(candidate);
    const load = await context.head(server, blobPath(context.fixtures.hot, context.fixtures.small), 16);
    return { rate: load.requests / load.seconds, ratePerCpu: load.requests / load.serverCpuSeconds };
  },
};

/** Held content under load, server and generator on a core each. */
export const HELD_ROWS: readonly Row[] = [
  requests("manifest by tag, held and fresh, 16 connections", MANIFEST_BY_TAG, [atLeast("rate", 50, "registry:2")]),
  requests("manifest by digest, held, 16 connections", MANIFEST_BY_DIGEST, [atLeast("rate", 15, "registry:2")]),
  HEAD_ROW,
  bytes("1 MiB blob, held, 16 connections", SMALL_BLOB, false, [
    atLeast("bytes", 6, "registry:2"),
    atLeast("bytes", 1, "nginx sendfile", 1),
  ]),
  bytes("256 MiB blob, held, 4 connections", LARGE_BLOB, false, [
    atLeast("bytes", 1.5, "registry:2", 1),
    atLeast("bytes", 1, "nginx sendfile", 1),
  ]),
  bytes("1 MiB blob over TLS, held, 16 connections", SMALL_BLOB, true, [
    atLeast("bytes", 1, "registry:2", 1),
    atLeast("bytes", 0.95, "nginx sendfile", 2),
  ]),
  bytes("256 MiB blob over TLS, held, 4 connections", LARGE_BLOB, true, [
    atLeast("bytes", 1, "registry:2", 1),
    atLeast("bytes", 0.95, "nginx sendfile", 2),
  ]),
];

function requests(name: string, target: Target, mustReach: readonly Requirement[]): Row {
  return {
    name,
    lines: REQUEST_LINES,
    mustReach,
    candidates: HOLDERS,
    run: async (context, candidate) => {
      const load = await loadHeld(context, await context.start(candidate), target);
      return {
        rate: load.requests / load.seconds,
        ratePerCpu: load.requests / load.serverCpuSeconds,
        p99: load.p99Ms,
      };
    },
  };
}

function bytes(name: string, target: Target, tls: boolean, mustReach: readonly Requirement[]): Row {
  return {
    name,
    lines: BYTE_LINES,
    mustReach,
    candidates: tls ? WITH_TLS : HOLDERS,
    run: async (context, candidate) => {
      const load = await loadHeld(context, await context.start(candidate, { tls }), target);
      return byteFigures(load);
    },
  };
}

/** Loads a warm server after it was asked once for the whole and loaded for a moment: files mapped, code compiled. */
export async function loadHeld(
  context: RowContext,
  server: Server,
  target: Target,
  { threads = 1, cores = context.cores.generator } = {},
): Promise<Load> {
  const path = target.path(context.fixtures);
  const { status } = await drain(`${server.url}${path}`, target.headers);
  if (status !== 200) throw new Error(`${path} answers ${status}`);
  const { connections, headers = {} } = target;
  const call = { connections, headers, threads, cores };
  await context.wrk(server, path, { ...call, seconds: WARM_UP_SECONDS });
  return await context.wrk(server, path, call);
}

/**
 * On loopback, what sendfile saves the server is copied by whoever receives: only the CPU time of both sides together shows
 * what a byte costs.
 */
export function byteFigures({ bytes: sent, seconds, serverCpuSeconds, generatorCpuSeconds }: Load): Figures {
  return {
    bytes: sent / seconds,
    bytesPerCpu: sent / serverCpuSeconds,
    bytesPerBothCpu: sent / (serverCpuSeconds + generatorCpuSeconds),
  };
}
