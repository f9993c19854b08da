import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import type { Config } from "../../src/config/config.ts";
import { ConfigError } from "../../src/config/errors.ts";
import { loadConfig } from "../../src/config/load.ts";

type Files = Readonly<Record<string, string | Uint8Array>>;

export interface LoadCall {
  readonly files?: Files;
  readonly environment?: Readonly<Record<string, string>>;
  readonly configPath?: string;
  /** Below the folder. */
  readonly cwd?: string;
}

export interface ConfigFolder {
  readonly path: string;
  write(files: Files): Promise<void>;
  /** Writes the files, then loads. */
  load(call?: LoadCall): Promise<Config>;
  /** What a user is told about a configuration that cannot be used, line by line. */
  complaints(call: LoadCall): Promise<string[]>;
}

/** A new folder to load configurations in, which goes with the test. */
export async function configFolder(t: TestContext): Promise<ConfigFolder> {
  const path = await mkdtemp(join(tmpdir(), "registry-cache-config-"));
  t.after(() => rm(path, { recursive: true }));
  const write = async (files: Files) => {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(path, name)), { recursive: true });
      // Secrets among them; who wants others to read it says so.
      await writeFile(join(path, name), content, { mode: 0o600 });
    }
  };
  const load = async ({ files = {}, environment = {}, configPath, cwd = "." }: LoadCall = {}) => {
    await write(files);
    const named = configPath === undefined ? {} : { configPath };
    return await loadConfig({ ...named, environment, cwd: join(path, cwd), isTerminal: false });
  };
  const complaints = async (call: LoadCall) => {
    try {
      await load(call);
    } catch (error) {
      if (error instanceof ConfigError) return error.render().split("\n");
      throw error;
    }
    throw new Error("the configuration was accepted");
  };
  return { path, write, load, complaints };
}

/** The folder's configuration file with this text. */
export function yaml(text: string): Files {
  return { "registry-cache.yaml": text };
}
