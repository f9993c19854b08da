import assert from "node:assert/strict";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { pino } from "pino";
import type { Config, RegistryConfig } from "../../src/config/config.ts";
import { importImages, type ImportRequest } from "../../src/import.ts";
import { type ImportReport, ImportTally } from "../../src/upkeep/import/report.ts";
import { startCache, testConfig, testRegistry } from "./cache.ts";
import { ask } from "./client.ts";
import { type FakeUpstream, type FakeUpstreamOptions, startFakeUpstream } from "./fake-upstream.ts";
import type { FakeImage } from "./fake-upstream/types.ts";
import { addToVolume } from "./foreign.ts";
import { tempDir } from "./temp.ts";

/** Of the image that every site has. */
export const REPOSITORY = "library/app";
const log = pino({ level: process.env["TEST_LOG_LEVEL"] ?? "silent" });

export interface Site {
  readonly upstream: FakeUpstream;
  readonly image: FakeImage;
  readonly folder: string;
  readonly volume: string;
  readonly dataDir: string;
  readonly config: Config;
}

/** An upstream with an image, and a volume that has it too. */
export async function site(
  t: TestContext,
  options: FakeUpstreamOptions = {},
  differs: Partial<RegistryConfig> = {},
): Promise<Site> {
  const upstream = await startFakeUpstream(options);
  t.after(async () => await upstream.stop());
  const image = upstream.addImage(REPOSITORY, "1", { layers: [300_000, 2_048] });
  const folder = await tempDir(t);
  const volume = join(folder, "volume");
  await addToVolume(volume, REPOSITORY, "1", image);
  const dataDir = join(folder, "data");
  const config = testConfig(dataDir, [testRegistry(upstream.url, { sharedRepositories: [], ...differs })]);
  return { upstream, image, folder, volume, dataDir, config };
}

export interface Extra extends Partial<ImportRequest> {
  readonly signal?: AbortSignal;
  readonly tally?: ImportTally;
}

/** Imports the volume, or what is said instead. */
export async function imported(
  { config, volume }: Site,
  { signal, tally, ...more }: Extra = {},
): Promise<ImportReport> {
  return await importImages(config, requestOf(volume, more), {
    log,
    signal: signal ?? new AbortController().signal,
    tally: tally ?? new ImportTally(),
    onPlan: () => undefined,
    onCatalog: () => undefined,
  });
}

/** As the command line makes it. */
export function requestOf(volume: string, more: Partial<ImportRequest>): ImportRequest {
  const isVolume = more.path === undefined;
  return { path: volume, registryId: isVolume ? "dockerhub" : undefined, as: undefined, openness: "ask", ...more };
}

/** The cache on what was imported. */
export async function serving(t: TestContext, { config, dataDir }: Site) {
  const cache = await startCache(t, config.registries, { dataDir });
  const get = async (path: string, method = "GET") => await ask(`${cache.url}/v2/${path}`, { method });
  return { cache, get };
}

/** Pulls all of an image as a client does; gives the outcomes that the cache told. */
export async function pullAll(get: (path: string) => ReturnType<typeof ask>, image: FakeImage, name = REPOSITORY) {
  const answers = [await get(`${name}/manifests/1`)];
  for (const { digest } of [image.config, ...image.layers]) answers.push(await get(`${name}/blobs/${digest}`));
  const bodies = [image.bytes, image.config.bytes, ...image.layers.map(({ bytes }) => bytes)];
  answers.forEach((answer, at) => {
    assert.equal(answer.status, 200, answer.body.toString());
    assert.ok(answer.body.equals(bodies[at] ?? Buffer.alloc(0)));
  });
  return answers.map(({ headers }) => String(headers["cache-status"]));
}
