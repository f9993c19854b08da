import { growingCache } from "../lib/growing-cache.ts";
import { type Digest, digestAlgorithm, digestOf } from "../oci/digest.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { Store } from "../store/store.ts";

/** A larger configuration is not read for what it says of its platform; usual ones have some ten thousand bytes. */
const CONFIG_BYTES_MAX = 1024 * 1024;
const REMEMBERED_MAX = 20_000;

export interface PlatformsOptions {
  readonly store: Pick<Store, "readBlob" | "statBlob">;
  readonly manifest: (digest: Digest) => Promise<{ readonly manifest: Manifest } | undefined>;
}

/** For which platform an image is that stands in no index: its configuration says so. What a digest stands for never changes. */
export class Platforms {
  readonly #o: PlatformsOptions;
  readonly #known = growingCache<Digest, string>(REMEMBERED_MAX);

  constructor(options: PlatformsOptions) {
    this.#o = options;
  }

  /** `linux/arm64/v8`; undefined where the manifest or its configuration is not held, or says nothing. */
  async of(digest: Digest): Promise<string | undefined> {
    const known = this.#known.get(digest);
    if (known !== undefined) return known;
    const config = (await this.#o.manifest(digest))?.manifest.blobs[0]?.digest;
    const platform = config === undefined ? undefined : platformIn(await this.#read(config));
    if (platform !== undefined) this.#known.set(digest, platform);
    return platform;
  }

  async #read(digest: Digest): Promise<Buffer | undefined> {
    const size = await this.#o.store.statBlob(digest);
    if (size === undefined || size > CONFIG_BYTES_MAX) return undefined;
    const bytes = await this.#o.store.readBlob(digest, CONFIG_BYTES_MAX);
    return bytes !== undefined && digestOf(bytes, digestAlgorithm(digest)) === digest ? bytes : undefined;
  }
}

function platformIn(config: Buffer | undefined): string | undefined {
  if (config === undefined) return undefined;
  try {
    const value = JSON.parse(config.toString()) as Record<string, unknown> | null;
    const parts = [value?.["os"], value?.["architecture"], value?.["variant"]];
    const texts = parts.filter((part) => typeof part === "string" && part !== "");
    return texts.length < 2 ? undefined : texts.join("/");
  } catch {
    return undefined;
  }
}
