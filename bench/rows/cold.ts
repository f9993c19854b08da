import path from "node:path";
import type { CandidateName } from "../candidates/candidate.ts";
import { blobPath, imageBytes, MANIFEST_TYPE, manifestPath } from "../fixtures.ts";
import { drain } from "../lib/net.ts";
import { spreadOf } from "../lib/statistics.ts";
import { curlArguments, wholeTransfers } from "../load/curl.ts";
import type { Figures, Row, RowContext } from "./row.ts";

const COLD = { data: "empty", throttled: true } as const;

/** The whole of an image by a real client, from nothing. */
const COLD_PULL: Row = {
  name: "cold pull of a 7-layer 450 MB image with skopeo, throttled upstream",
  lines: [
    { id: "wall", label: "time", unit: "seconds" },
    { id: "upstream", label: "upstream bytes / image", unit: "times" },
  ],
  mustReach: [
    { line: "wall", text: "<= 1.05 x direct", compare: "ratio", to: "direct", atMost: 1.05 },
    { line: "upstream", text: "1.00 x the image", compare: "value", atMost: 1.005 },
  ],
  candidates: ["ours", "direct", "registry:2", "distribution 3", "zot", "nginx proxy_cache"],
  run: async (context, candidate) => {
    const { fixtures, upstream } = context;
    const { url } = await context.start(candidate, COLD);
    const image = `docker://${url.replace("http://", "")}/${fixtures.cold.repository}:${fixtures.cold.tag}`;
    const target = `dir:${path.join(await context.folder(), "image")}`;
    upstream.reset();
    const pulled = await context.run("skopeo", ["--insecure-policy", "copy", "--src-tls-verify=false", image, target]);
    if (pulled.exitCode !== 0) throw new Error(`skopeo: ${pulled.stderr}`);
    await upstream.quiet();
    return { wall: pulled.wallSeconds, upstream: upstream.traffic().bytes / imageBytes(fixtures.cold) };
  },
};

/** Small layers, so that a measurement does not take long. */
const FIRST_BYTE_LAYERS = 4;

/** How soon a client sees that something comes: what the cache itself adds to upstream's answer. */
const FIRST_BYTE: Row = {
  name: "first byte of a cold blob",
  lines: [{ id: "firstByte", label: "time", unit: "ms" }],
  mustReach: [{ line: "firstByte", text: "<= upstream's + 5 ms", compare: "difference", to: "direct", atMost: 5 }],
  candidates: ["ours", "direct", "registry:2", "distribution 3", "nginx proxy_cache"],
  run: async (context, candidate) => {
    const { cold } = context.fixtures;
    const { url } = await context.start(candidate, COLD);
    // As every client does first; connections to upstream are open then.
    await drain(`${url}${manifestPath(cold)}`, { Accept: MANIFEST_TYPE });
    const times: number[] = [];
    for (const layer of cold.layers.slice(-FIRST_BYTE_LAYERS)) {
      const finished = await context.run("curl", curlArguments([`${url}${blobPath(cold, layer)}`]));
      times.push(...wholeTransfers(finished, 1, layer.size).map((one) => one.firstByteSeconds * 1000));
      await context.upstream.quiet();
    }
    return { firstByte: spreadOf(times)?.median ?? Number.NaN };
  },
};

/** Those who fetch the same blob at once from an empty cache, beside one who does it alone. */
function crowd(clients: number, candidates: readonly CandidateName[], more: Partial<Row> = {}): Row {
  return {
    name: `${clients} clients, one cold 256 MiB blob`,
    lines: [
      { id: "one", label: "time of one client alone", unit: "seconds" },
      { id: "all", label: `time until the last of ${clients} has it`, unit: "seconds" },
      { id: "loopback", label: "the same crowd at nginx, which has the blob already", unit: "seconds" },
      { id: "slower", label: "the crowd / the longer of one alone and of that", unit: "times" },
      { id: "upstream", label: "upstream bytes / blob", unit: "times" },
    ],
    mustReach: [
      { line: "slower", text: "<= 1.15 x until the loopback is full", compare: "value", atMost: 1.15 },
      { line: "upstream", text: "1.00 x", compare: "value", atMost: 1.005 },
    ],
    candidates,
    run: async (context, candidate) => await runCrowd(context, candidate, clients),
    ...more,
  };
}

async function runCrowd(context: RowContext, candidate: CandidateName, clients: number): Promise<Figures> {
  const { upstream, fixtures } = context;
  const one = await fetchLarge(context, await context.start(candidate, COLD), 1);
  await upstream.quiet();
  const server = await context.start(candidate, COLD);
  upstream.reset();
  const all = await fetchLarge(context, server, clients);
  await upstream.quiet();
  const transferred = upstream.traffic().bytes / fixtures.large.size;
  const loopback = await fetchLarge(context, await context.start("nginx sendfile"), clients);
  return { one, all, loopback, slower: all / Math.max(one, loopback), upstream: transferred };
}

async function fetchLarge(context: RowContext, { url }: { url: string }, clients: number): Promise<number> {
  const { hot, large } = context.fixtures;
  const urls = Array.from({ length: clients }, () => `${url}${blobPath(hot, large)}`);
  const finished = await context.run("curl", curlArguments(urls));
  return Math.max(...wholeTransfers(finished, clients, large.size).map(({ seconds }) => seconds));
}

/**
 * Registries that download once for every client would take minutes for 50 of them, so that they are shown with 4. All 200
 * take 50 GB through the loopback, so that this is done once.
 */
export const COLD_ROWS: readonly Row[] = [
  COLD_PULL,
  FIRST_BYTE,
  crowd(4, ["ours", "registry:2", "distribution 3", "nginx proxy_cache"]),
  crowd(50, ["ours", "nginx proxy_cache"]),
  crowd(200, ["ours"], { once: true }),
];
