import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";

import { builtPath, notBuilt } from "../built-tools.ts";
import { toolPath } from "../tools.ts";
import type { World } from "../world.ts";
import { CHECKOUT } from "./image.ts";

/** Debian's Compose is in Python; the one of today, in Go, is built where it can be. */
export const COMPOSE_VERSIONS = { "1.29": () => toolPath("docker-compose"), "2": () => builtPath("compose") } as const;
export type ComposeVersion = keyof typeof COMPOSE_VERSIONS;

export function notThere(version: ComposeVersion): string | false {
  return version === "2" && notBuilt("compose");
}

export interface ComposeOptions {
  readonly version: ComposeVersion;
  /** Below the checkout, or absolute. */
  readonly files: readonly string[];
  /** What `.env` has. */
  readonly variables: Readonly<Record<string, string>>;
  readonly project?: string;
  /** The engine, as DOCKER_HOST has it. */
  readonly host?: string;
}

/** Runs Compose with the checkout's files and with variables of this call alone. */
export async function compose(world: World, options: ComposeOptions, ...args: readonly string[]): Promise<string> {
  const { version, files, variables, project = "rc", host } = options;
  const folder = path.join(world.runner.folder, `compose-${project}`);
  await mkdir(folder, { recursive: true });
  const env = path.join(folder, "env");
  const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`);
  await writeFile(env, lines.join(""));
  const named = files.flatMap((file) => ["-f", path.resolve(CHECKOUT, file)]);
  const where = ["--project-name", project, "--project-directory", CHECKOUT, "--env-file", env];
  const engine = host === undefined ? {} : { DOCKER_HOST: host };
  return await world.runner.run([COMPOSE_VERSIONS[version](), ...where, ...named, ...args], engine);
}
