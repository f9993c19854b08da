import { readdir } from "node:fs/promises";
import type { AccessConfig, Config, RegistryConfig } from "../../src/config/config.ts";
import { OPEN_ACCESS, startCache, testConfig } from "./cache.ts";
import { startCacheProcess } from "./cache-process.ts";
import { type HasAfter, tempDir } from "./temp.ts";

export interface WholeOptions {
  readonly access?: Partial<AccessConfig>;
  readonly config?: Partial<Config>;
  readonly workers?: number;
  readonly dataDir?: string;
}

/** The whole cache with so many workers: in this process, or, with more than one, as the processes that they are. */
export async function startWhole(
  t: HasAfter,
  registries: readonly RegistryConfig[],
  { access, config, workers = 1, dataDir }: WholeOptions = {},
): Promise<{ readonly url: string; readonly dataDir: string }> {
  const folder = dataDir ?? (await tempDir(t));
  const differs = { ...config, workers, access: { ...OPEN_ACCESS, ...access } };
  if (workers === 1) return await startCache(t, registries, { dataDir: folder, config: differs });
  const { url } = await startCacheProcess(t, testConfig(folder, registries, differs));
  return { url: differs.tls === undefined ? url : url.replace(/^http:/, "https:"), dataDir: folder };
}

/** The names of everything below a folder. */
export async function filesBelow(folder: string): Promise<string[]> {
  return (await readdir(folder, { recursive: true })).toSorted();
}

/** The header of the Basic scheme. */
export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}
