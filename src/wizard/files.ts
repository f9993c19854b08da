import { parseEnv } from "node:util";
import { access, constants, realpath, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { HtpasswdFile } from "../access/htpasswd-file.ts";
import { DOT_ENV, SETTING_VARIABLES } from "../config/environment.ts";
import { ConfigError } from "../config/errors.ts";
import { CONFIG_BYTES_MAX, findConfigFile, readBounded, CONFIG_FILE_NAME } from "../config/files.ts";
import { loadConfig, type LoadOptions } from "../config/load.ts";
import type { Config } from "../config/config.ts";
import { fileProblem } from "../config/yaml-text.ts";
import { SECRET_MODE } from "../lib/replace-file.ts";
import type { Sources } from "./answers.ts";
import { edited } from "./edit.ts";
import { Journal } from "./journal.ts";
import type { Plan } from "./plan.ts";
import { type Made, Staging } from "./staging.ts";

/** The configuration that is to be changed, or made. */
export interface Target extends Sources {
  /** As the user would write it. */
  readonly name: string;
  /** Absolute, as all else that is relative counts from it. */
  readonly path: string;
  readonly folder: string;
  readonly isNew: boolean;
}

export interface TargetOptions extends Pick<LoadOptions, "environment" | "cwd"> {
  /** `--config`; without it what a start would find, else the usual name in the working folder. */
  readonly configPath: string | undefined;
}

/** Rejects with a `ConfigError` where the file, or the `.env` beside it, cannot be read. */
export async function readTarget({ configPath, environment, cwd }: TargetOptions): Promise<Target> {
  const inEnvironment = environment["REGISTRY_CACHE_CONFIG"];
  const named = configPath ?? (inEnvironment === "" ? undefined : inEnvironment);
  const found =
    named === undefined ? await findConfigFile({ configPath: undefined, environmentPath: undefined, cwd }) : undefined;
  const name = named ?? found?.name ?? CONFIG_FILE_NAME;
  const path = resolve(cwd, name);
  const folder = dirname(path);
  const yaml = await textOf(path, name);
  const dotEnv = await textOf(join(folder, DOT_ENV), DOT_ENV);
  return { name, path, folder, yaml: yaml ?? "", dotEnv: dotEnv ?? "", isNew: yaml === undefined };
}

async function textOf(path: string, name: string): Promise<string | undefined> {
  const bytes = await readBounded(path, CONFIG_BYTES_MAX);
  if (Buffer.isBuffer(bytes)) return bytes.toString("utf8");
  // Some keep a Python environment in a folder of that name, which the cache passes over.
  if (bytes.reason === "missing" || (bytes.reason === "folder" && name === DOT_ENV)) return undefined;
  throw new ConfigError([fileProblem(name, bytes.message, bytes.hint)]);
}

/** What keeps this user from writing there, for people; undefined where nothing does. */
export async function writeProblem({ path, folder, isNew }: Target): Promise<string | undefined> {
  const isFree = async (at: string) =>
    await access(at, constants.W_OK).then(
      () => true,
      () => false,
    );
  if (!isNew && !(await isFree(await realpath(path).catch(() => path)))) return `${path} may not be written`;
  for (let at = folder; ; at = dirname(at)) {
    const stats = await stat(at).catch(() => undefined);
    if (stats?.isDirectory() === false) return `${at} is no folder`;
    if (stats !== undefined) return (await isFree(at)) ? undefined : `nothing may be written in ${at}`;
    if (dirname(at) === at) return undefined;
  }
}

/** Everything that a plan comes to, tried and ready to be written. */
export interface Prepared extends Sources {
  readonly plan: Plan;
  readonly made: Made;
  /** What the cache would run with. */
  readonly config: Config;
  /** Whether somebody has a password. */
  readonly hasUsers: boolean;
}

/** Rejects with a `ConfigError` where the cache would refuse it, and with what `edited` and `Staging` throw; nothing is written. */
export async function prepare(
  target: Target,
  plan: Plan,
  options: Pick<LoadOptions, "environment" | "cwd">,
): Promise<Prepared> {
  const staging = await Staging.make(plan.making, target.folder);
  try {
    const tried = edited(target, staging.relocated(plan.answers));
    const draft = { name: target.name, folder: target.folder, ...tried };
    const config = await loadConfig({ ...options, isTerminal: false, draft });
    const { htpasswd } = config.access;
    const hasUsers = htpasswd !== undefined && (await HtpasswdFile.read(htpasswd)).users.length > 0;
    return { ...edited(target, plan.answers), plan, made: staging.made, config, hasUsers };
  } finally {
    await staging.discard();
  }
}

/** What is set elsewhere and counts above what was answered, for people. */
export function overridden(environment: NodeJS.ProcessEnv, { dotEnv }: Sources): string[] {
  const inFile = parseEnv(dotEnv);
  const keys = { listen: "listen", dataDir: "data_dir" } as const;
  return (["listen", "dataDir"] as const).flatMap((setting) => {
    const name = SETTING_VARIABLES[setting];
    const where =
      (environment[name] ?? "") !== "" ? "the environment" : (inFile[name] ?? "") !== "" ? DOT_ENV : undefined;
    return where === undefined ? [] : `${name} is set in ${where}, and counts above \`${keys[setting]}\` in the file`;
  });
}

/** Somebody else changed a file meanwhile. */
export class ChangedMeanwhileError extends Error {
  override readonly name = "ChangedMeanwhileError";
}

/** What differs from what is there, as absolute paths. */
export function changedPaths(target: Target, { yaml, dotEnv, made }: Prepared): string[] {
  return [
    ...new Set([...made.files, ...made.users].map(({ path }) => path)),
    ...(dotEnv === target.dotEnv ? [] : [join(target.folder, DOT_ENV)]),
    ...(yaml === target.yaml ? [] : [target.path]),
  ];
}

/**
 * Writes all of it, the configuration last: it names the others. Each file is whole or as it was; where one of them cannot be
 * written, those before it are put back. Rejects with the system's error, or a `ChangedMeanwhileError`.
 */
export async function write(target: Target, { yaml, dotEnv, made }: Prepared): Promise<void> {
  const envPath = join(target.folder, DOT_ENV);
  const isSame =
    ((await textOf(target.path, target.name)) ?? "") === target.yaml &&
    ((await textOf(envPath, DOT_ENV)) ?? "") === target.dotEnv;
  if (!isSame) throw new ChangedMeanwhileError(`${target.name} or ${DOT_ENV} was changed meanwhile`);
  const journal = new Journal();
  try {
    for (const { path, text, mode } of made.files) {
      await journal.replace(path, text, { mode: (before) => before ?? mode });
    }
    for (const { path, name, hash } of made.users) {
      const change = async () => await HtpasswdFile.change(path, async (file) => file.set(name, hash));
      await journal.change(path, change);
    }
    if (dotEnv !== target.dotEnv) await journal.replace(envPath, dotEnv, { mode: keptFromOthers });
    if (yaml !== target.yaml) await journal.replace(target.path, yaml, { mode: (before) => before ?? CONFIG_MODE });
  } catch (error) {
    await journal.undo();
    throw error;
  }
}

/** There is no secret in it that the questions put there. */
const CONFIG_MODE = 0o644;
const OTHERS = 0o007;

/** Who wants a group to read it may; that everybody did was nobody's wish. */
function keptFromOthers(before: number | undefined): number {
  return before === undefined || (before & OTHERS) !== 0 ? SECRET_MODE : before;
}
