import { statfs } from "node:fs/promises";
import type { Config } from "../../config/config.ts";
import type { Samples } from "./samples.ts";

interface Held {
  readonly bytes: number;
  readonly contents: number;
}

/** What is held: each content once in all, and once for each registry that has it. */
export interface HeldFacts extends Held {
  readonly byRegistry: ReadonlyMap<string, Held>;
}

export interface PartialFacts {
  readonly partials: number;
  readonly bytes: number;
}

export interface StoreSources {
  readonly config: Pick<Config, "dataDir" | "maxSizeBytes" | "minFreeDiskBytes" | "registries">;
  /** Held tags by registry id. */
  readonly tags: () => Promise<ReadonlyMap<string, number>>;
  readonly held?: (() => Promise<HeldFacts>) | undefined;
  readonly partials?: (() => Promise<PartialFacts>) | undefined;
}

/** For the budget of all registries together; a registry's own has its id. */
const ALL = "all";

export function collectBudgets({ config }: StoreSources, samples: Samples): void {
  const { maxSizeBytes, minFreeDiskBytes, registries } = config;
  if (maxSizeBytes !== undefined) samples.put("budget_bytes", { scope: ALL }, maxSizeBytes);
  for (const { id, maxSizeBytes: bytes } of registries) {
    if (bytes !== undefined) samples.put("budget_bytes", { scope: id }, bytes);
  }
  samples.put("disk_reserve_bytes", {}, minFreeDiskBytes);
}

export async function collectHeld({ held }: StoreSources, samples: Samples): Promise<void> {
  if (held === undefined) return;
  const { bytes, contents, byRegistry } = await held();
  samples.put("stored_bytes", {}, bytes);
  samples.put("stored_contents", {}, contents);
  for (const [registry, of] of byRegistry) {
    samples.put("held_bytes", { registry }, of.bytes);
    samples.put("held_contents", { registry }, of.contents);
  }
}

/** Of a registry that is switched off nothing is told. */
export async function collectTags({ config, tags }: StoreSources, samples: Samples): Promise<void> {
  const counts = await tags();
  for (const { id: registry } of config.registries) samples.put("held_tags", { registry }, counts.get(registry) ?? 0);
}

export async function collectPartials({ partials: ask }: StoreSources, samples: Samples): Promise<void> {
  if (ask === undefined) return;
  const { partials, bytes } = await ask();
  samples.put("partials", {}, partials);
  samples.put("partial_bytes", {}, bytes);
}

export async function collectDisk({ config }: StoreSources, samples: Samples): Promise<void> {
  const { bavail, bsize } = await statfs(config.dataDir);
  samples.put("disk_free_bytes", {}, bavail * bsize);
}
