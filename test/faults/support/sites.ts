import assert from "node:assert/strict";
import type { RegistryConfig, TagRule } from "../../../src/config/config.ts";
import { type CacheProcess, startCacheProcess } from "../../support/cache-process.ts";
import { testConfig, testRegistry } from "../../support/cache.ts";
import {
  type FakeImage,
  type FakeUpstream,
  type FakeUpstreamOptions,
  startFakeUpstream,
} from "../../support/fake-upstream.ts";
import { type HasAfter, tempDir } from "../../support/temp.ts";
import { pull } from "./ending.ts";
import { inForm } from "./fault.ts";
import type { HeldContent } from "./hits.ts";

const TIMEOUT_MS = inForm({ short: 400, long: 1_000 });

/** Small, so that a fault's whole course is seen; budgets are told in terms of them. */
export const TIMEOUTS = { connectMs: TIMEOUT_MS, headersMs: TIMEOUT_MS, idleMs: TIMEOUT_MS, askBudgetMs: 500 };

const SMALL_BYTES = 2_000;
/** Much more than what a fill holds back until it is verified. */
const LARGE_BYTES = 300_000;

const TAGS: readonly TagRule[] = [
  { match: "moving", revalidate: { kind: "always" } },
  { match: "*", revalidate: { kind: "never" } },
];

/** What differs at one upstream, once its content is held. */
export interface SiteOptions {
  readonly fake?: FakeUpstreamOptions;
  readonly registry?: (fake: FakeUpstream) => Partial<RegistryConfig>;
}

/** One upstream of the cache: some of its content is held already, and it is about to break. */
export interface Site {
  readonly fake: FakeUpstream;
  /** `http://cache/v2/<registry>/<repository>` */
  readonly url: string;
  readonly held: readonly HeldContent[];
  /** Held, under a tag that has to be asked for each time. */
  readonly moving: HeldContent;
  /** Not held at all. */
  readonly cold: FakeImage;
  /** Its manifest is held, its layers are not: their sizes are known. */
  readonly named: FakeImage;
}

export interface Sites {
  readonly cache: CacheProcess;
  readonly dataDir: string;
  get(id: string): Site;
}

/** One cache in a process of its own before many upstreams, each with content that was pulled while all was well. */
export async function startSites(t: HasAfter, options: ReadonlyMap<string, SiteOptions>): Promise<Sites> {
  const dataDir = await tempDir(t);
  const well = await startFakeUpstream();
  t.after(async () => await well.stop());
  const ids = [...options.keys()];
  const images = new Map(ids.map((id) => [id, addImages(well, id)]));
  await warm(t, dataDir, well, images);

  const fakes = new Map<string, FakeUpstream>();
  for (const [id, { fake: differs }] of options) {
    const fake = await startFakeUpstream(differs);
    t.after(async () => await fake.stop());
    addImages(fake, id);
    fakes.set(id, fake);
  }
  const registries = ids.map((id) => {
    const fake = fakes.get(id) as FakeUpstream;
    return registryOf(id, fake.url, options.get(id)?.registry?.(fake));
  });
  const cache = await startCacheProcess(t, testConfig(dataDir, registries));
  return { cache, dataDir, get: (id) => siteOf(cache.url, id, fakes.get(id), images.get(id)) };
}

type Images = Readonly<Record<"held" | "moving" | "cold" | "named", FakeImage>>;

function addImages(fake: FakeUpstream, id: string): Images {
  const add = (tag: string) => fake.addImage(id, tag, { layers: [SMALL_BYTES, LARGE_BYTES], seed: `${id} ${tag}` });
  return { held: add("held"), moving: add("moving"), cold: add("cold"), named: add("named") };
}

function registryOf(id: string, upstream: string, differs: Partial<RegistryConfig> = {}): RegistryConfig {
  const own = { id, serves: `${id}.test`, aliases: [], libraryPrefix: false, tags: TAGS, timeouts: TIMEOUTS };
  return testRegistry(upstream, { ...own, ...differs });
}

async function warm(t: HasAfter, dataDir: string, well: FakeUpstream, images: ReadonlyMap<string, Images>) {
  const registries = [...images.keys()].map((id) => registryOf(id, well.url));
  const cache = await startCacheProcess(t, testConfig(dataDir, registries));
  const wanted = [...images].flatMap(([id, { held, moving, named }]) => {
    const url = urlOf(cache.url, id);
    return [...contentOf(url, held), ...manifestsOf(url, "moving", moving), ...manifestsOf(url, "named", named)];
  });
  for (const ending of await Promise.all(wanted.map(async ({ url, bytes }) => await pull(url, bytes)))) {
    assert.equal(ending.how, "right");
  }
  assert.equal(await cache.terminate(), 0);
}

function siteOf(cacheUrl: string, id: string, fake: FakeUpstream | undefined, images: Images | undefined): Site {
  if (fake === undefined || images === undefined) throw new Error(`no site ${id}`);
  const url = urlOf(cacheUrl, id);
  const [moving] = manifestsOf(url, "moving", images.moving) as [HeldContent];
  return { fake, url, held: contentOf(url, images.held), moving, cold: images.cold, named: images.named };
}

function urlOf(cacheUrl: string, id: string): string {
  return `${cacheUrl}/v2/${id}.test/${id}`;
}

function contentOf(url: string, image: FakeImage): HeldContent[] {
  const blobs = [image.config, ...image.layers].map(({ digest, bytes }) => ({ url: `${url}/blobs/${digest}`, bytes }));
  return [...manifestsOf(url, "held", image), ...blobs];
}

/** By tag first, then by digest. */
function manifestsOf(url: string, tag: string, { digest, bytes }: FakeImage): HeldContent[] {
  return [tag, digest].map((reference) => ({ url: `${url}/manifests/${reference}`, bytes }));
}
