import { statfs } from "node:fs/promises";
import type { Config } from "../../config/config.ts";
import type { Samples } from "./samples.ts";

/** What is held of a registry. */
export interface HeldFacts {
  readonly registryId: string;
  readonly repositories: number;
  readonly images: number;
  readonly tags: number;
  readonly bytes: number;
}

/** What is held in all. */
export interface StoreFacts {
  /** Each content once. */
  readonly bytes: number;
  readonly partials: number;
  readonly partialBytes: number;
}

export interface StoreSources {
  readonly config: Pick<Config, "dataDir" | "maxSizeBytes" | "minFreeDiskBytes" | "registries">;
  readonly held: () => Promise<readonly HeldFacts[]>;
  readonly store: () => Promise<StoreFacts>;
}

/** For the budget of all registries together; a registry's own has its id. */
const ALL = "all";

export function collectBudgets({ config }: Pick<StoreSources, "config">, samples: Samples): void {
  const { maxSizeBytes, minFreeDiskBytes, registries } = config;
  if (maxSizeBytes !== undefined) samples.put("budget_bytes", { scope: ALL }, maxSizeBytes);
  for (const { id, maxSizeBytes: bytes } of registries) {
    if (bytes !== undefined) samples.put("budget_bytes", { scope: id }, bytes);
  }
  samples.put("disk_reserve_bytes", {}, minFreeDiskBytes);
}

export async function collectHeld({ held }: Pick<StoreSources, "held">, samples: Samples): Promise<void> {
  for (const { registryId: registry, bytes, images, repositories, tags } of await held()) {
    samples.put("held_bytes", { registry }, bytes);
    samples.put("held_images", { registry }, images);
    samples.put("held_repositories", { registry }, repositories);
    samples.put("held_tags", { registry }, tags);
  }
}

export async function collectStore({ store }: Pick<StoreSources, "store">, samples: Samples): Promise<void> {
  const { bytes, partials, partialBytes } = await store();
  samples.put("stored_bytes", {}, bytes);
  samples.put("partials", {}, partials);
  samples.put("partial_bytes", {}, partialBytes);
}

export async function collectDisk({ config }: Pick<StoreSources, "config">, samples: Samples): Promise<void> {
  const { bavail, bsize } = await statfs(config.dataDir);
  samples.put("disk_free_bytes", {}, bavail * bsize);
}
