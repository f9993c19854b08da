import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { Cache, type CacheOptions } from "./cache.ts";
import { publish, type Published } from "./images.ts";
import { Origin, type SeenRequest } from "./origin.ts";
import { Runner } from "./processes.ts";

/** An upstream with images, the cache in front of it, and a temporary folder that holds everything. */
export interface World {
  readonly runner: Runner;
  readonly origin: Origin;
  readonly cache: Cache;
  readonly published: Published;
  /** What the upstream was asked since the cache stands in front of it. */
  askedByCache(): Promise<SeenRequest[]>;
  /** An empty folder of its own for whoever asks. */
  folder(prefix: string): Promise<string>;
  /** Registers what must be stopped before the folder goes; last registered, first stopped. */
  onEnd(stop: () => Promise<void>): void;
  end(): Promise<void>;
}

/** What else runs beside the cache is started first, where the options tell of it. */
export type MakeOptions = (runner: Runner, onEnd: World["onEnd"]) => Promise<CacheOptions>;

export async function createWorld(options: CacheOptions | MakeOptions = {}): Promise<World> {
  // Short: a daemon's socket path may have 107 bytes.
  const root = await mkdtemp(path.join(tmpdir(), "rc-e2e-"));
  const stops: (() => Promise<void>)[] = [() => rm(root, { recursive: true, force: true })];
  const end = async (): Promise<void> => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  };
  try {
    const runner = await Runner.create(root);
    const origin = await Origin.start(runner);
    stops.push(() => origin.stop());
    const published = await publish(runner, origin);
    const onEnd = (stop: () => Promise<void>): void => void stops.push(stop);
    const chosen = typeof options === "function" ? await options(runner, onEnd) : options;
    if (chosen.originUsers !== undefined) await origin.lock(chosen.originUsers);
    const publishing = (await origin.requests()).length;
    const cache = await Cache.start(runner, origin, chosen);
    stops.push(() => cache.stop());
    return {
      runner,
      origin,
      cache,
      published,
      askedByCache: async () => (await origin.requests()).slice(publishing),
      folder: (prefix) => mkdtemp(path.join(root, `${prefix}-`)),
      onEnd,
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}
