import { writeFile } from "node:fs/promises";
import path from "node:path";
import { type BigStore, makeBigStore, PULLABLE_TAGS } from "../big-store.ts";
import type { Server } from "../candidates/candidate.ts";
import type { Row, RowContext } from "./row.ts";

const CACHE = path.resolve(import.meta.dirname, "../.cache");
const TAGS = 100_000;
const CONNECTIONS = 16;

/** Made in two minutes, kept for later runs. */
async function bigStore(): Promise<BigStore> {
  return await makeBigStore(path.join(CACHE, "big-store"), { tags: TAGS });
}

/** Nothing but what is asked for in the rows: an empty store has no hits. */
async function smallStore(): Promise<BigStore> {
  return await makeBigStore(path.join(CACHE, "small-store"), { tags: PULLABLE_TAGS });
}

async function secondsOf(context: RowContext, server: Server, below: string): Promise<number> {
  const quiet = ["--silent", "--fail", "--output", "/dev/null", "--write-out", "%{time_total}"];
  const { stdout } = await context.run("curl", [...quiet, `${server.url}${below}`]);
  return Number(stdout);
}

async function readyMsOf(context: RowContext, folder: string): Promise<number> {
  const server = await context.start("ours", { data: { folder } });
  await server.stop();
  return server.readyMs;
}

const START_AND_STATISTICS: Row = {
  name: "store of 1,000,000 blobs and 100,000 tags: start and statistics",
  lines: [
    { id: "ready", label: "start to ready", unit: "ms" },
    { id: "readyEmpty", label: "the same with an empty store", unit: "ms" },
    { id: "summary", label: "/summary", unit: "seconds" },
    { id: "page", label: "first page of / (100 repositories)", unit: "seconds" },
    { id: "whole", label: "/ as a whole", unit: "seconds" },
  ],
  mustReach: [
    { line: "ready", text: "<= 1 s", compare: "value", atMost: 1000 },
    { line: "summary", text: "<= 100 ms", compare: "value", atMost: 0.1 },
    { line: "page", text: "<= 100 ms", compare: "value", atMost: 0.1 },
  ],
  candidates: ["ours"],
  run: async (context) => {
    const readyEmpty = await readyMsOf(context, await context.folder());
    const server = await context.start("ours", { data: { folder: (await bigStore()).dataDir } });
    return {
      ready: server.readyMs,
      readyEmpty,
      summary: await secondsOf(context, server, "/summary"),
      page: await secondsOf(context, server, "/?n=100"),
      whole: await secondsOf(context, server, "/"),
    };
  },
};

/** In any order, and by digest only: a tag that nobody confirmed lately would be asked for upstream. */
async function writeScript(context: RowContext, { hits }: BigStore): Promise<string> {
  const folder = await context.folder();
  const [list, script] = [path.join(folder, "paths"), path.join(folder, "hits.lua")];
  await writeFile(list, hits.filter((one) => one.includes("sha256:")).join("\n"));
  await writeFile(
    script,
    `local paths = {}
for line in io.lines(${JSON.stringify(list)}) do paths[#paths + 1] = line end
function request() return wrk.format("GET", paths[math.random(#paths)]) end
`,
  );
  return script;
}

/** From a process that has nothing in memory yet, until it has most of it. */
async function p99Of(context: RowContext, store: BigStore): Promise<number> {
  const server = await context.start("ours", { data: { folder: store.dataDir } });
  const script = await writeScript(context, store);
  const { p99Ms } = await context.wrk(server, "/", { connections: CONNECTIONS, script });
  await server.stop();
  return p99Ms;
}

const HITS: Row = {
  name: "store of 1,000,000 blobs and 100,000 tags: hits of 14,000 manifests and small blobs, 16 connections",
  lines: [
    { id: "p99", label: "p99", unit: "ms" },
    { id: "p99Small", label: "p99 with a store of those alone", unit: "ms" },
    { id: "times", label: "p99 against that", unit: "times" },
  ],
  mustReach: [{ line: "times", text: "<= 1.2 x", compare: "value", atMost: 1.2 }],
  candidates: ["ours"],
  run: async (context) => {
    const small = await p99Of(context, await smallStore());
    const big = await p99Of(context, await bigStore());
    return { p99: big, p99Small: small, times: big / small };
  },
};

export const BIG_STORE_ROWS: readonly Row[] = [START_AND_STATISTICS, HITS];
