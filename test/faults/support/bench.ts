import assert from "node:assert/strict";
import type { RegistryConfig, TagRule } from "../../../src/config/config.ts";
import type { ListenerLimits } from "../../../src/server/listener-server.ts";
import { type CacheProcess, startCacheProcess } from "../../support/cache-process.ts";
import { testConfig, testRegistry } from "../../support/cache.ts";
import { type FakeUpstream, type FakeUpstreamOptions, startFakeUpstream } from "../../support/fake-upstream.ts";
import { type HasAfter, tempDir } from "../../support/temp.ts";
import { pull } from "./ending.ts";
import type { HeldContent } from "./hits.ts";

/** As Docker names it and the fake has it. */
export const REPOSITORY = "library/app";

const TAGS: readonly TagRule[] = [
  { match: "moving", revalidate: { kind: "always" } },
  { match: "*", revalidate: { kind: "never" } },
];

/** One cache in a process of its own before one upstream. */
export interface Bench {
  readonly upstream: FakeUpstream;
  readonly cache: CacheProcess;
  /** `http://cache/v2/library/app` */
  readonly url: string;
  readonly dataDir: string;
  /** Pulled already, and never to be asked for again. */
  readonly held: readonly HeldContent[];
  /** Held, under a tag that has to be asked for each time. */
  readonly moving: HeldContent;
}

export interface BenchOptions {
  readonly fake?: FakeUpstreamOptions;
  readonly registry?: Partial<RegistryConfig>;
  readonly limits?: Partial<ListenerLimits>;
}

export async function startBench(t: HasAfter, options: BenchOptions = {}): Promise<Bench> {
  const upstream = await startFakeUpstream(options.fake);
  t.after(async () => await upstream.stop());
  const dataDir = await tempDir(t);
  const registry = testRegistry(upstream.url, { tags: TAGS, ...options.registry });
  const cache = await startCacheProcess(t, testConfig(dataDir, [registry]), options.limits);
  const url = `${cache.url}/v2/${REPOSITORY}`;
  const image = upstream.addImage(REPOSITORY, "held");
  upstream.setTag(REPOSITORY, "moving", image.digest);
  const blobs = [image.config, ...image.layers].map((one) => ({ url: `${url}/blobs/${one.digest}`, bytes: one.bytes }));
  const held = [{ url: `${url}/manifests/held`, bytes: image.bytes }, ...blobs];
  const moving = { url: `${url}/manifests/moving`, bytes: image.bytes };
  for (const one of [...held, moving]) assert.equal((await pull(one.url, one.bytes)).how, "right");
  return { upstream, cache, url, dataDir, held, moving };
}
