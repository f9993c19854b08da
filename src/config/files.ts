import { lstat, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { readAtMost } from "../lib/read-at-most.ts";
import { ConfigError } from "./errors.ts";
import { fileProblem } from "./yaml-text.ts";

/** Room for hundreds of registries. Looking for duplicate keys takes time in proportion to the square of their number. */
export const CONFIG_BYTES_MAX = 128 * 1024;

export const CONFIG_FILE_NAME = "registry-cache.yaml";
const SYSTEM_CONFIG_FILE = "/etc/registry-cache/registry-cache.yaml";

/** A file's bytes, and its name as the user would write it. */
export interface NamedFile {
  readonly name: string;
  /** The folder it lies in, absolute. */
  readonly folder: string;
  readonly bytes: Buffer;
}

export interface ConfigPlaces {
  /** `--config`. */
  readonly configPath: string | undefined;
  /** `REGISTRY_CACHE_CONFIG`. */
  readonly environmentPath: string | undefined;
  readonly cwd: string;
}

/**
 * The configuration file; undefined where none was named and none lies in the usual places.
 *
 * @throws ConfigError where a file was named and cannot be read, or is there and cannot be read
 */
export async function findConfigFile({
  configPath,
  environmentPath,
  cwd,
}: ConfigPlaces): Promise<NamedFile | undefined> {
  const named = configPath ?? environmentPath;
  if (named !== undefined) {
    const file = await readNamed(named, cwd);
    if (file !== undefined) return file;
    const hint = configPath === undefined ? "REGISTRY_CACHE_CONFIG names it" : "--config names it";
    throw new ConfigError([fileProblem(named, "does not exist", hint)]);
  }
  return (await readNamed(CONFIG_FILE_NAME, cwd)) ?? (await readNamed(SYSTEM_CONFIG_FILE, cwd));
}

async function readNamed(name: string, cwd: string): Promise<NamedFile | undefined> {
  const path = resolve(cwd, name);
  const bytes = await readBounded(path, CONFIG_BYTES_MAX);
  if (Buffer.isBuffer(bytes)) return { name, folder: dirname(path), bytes };
  if (bytes.reason === "missing" && !(await isLink(path))) return undefined;
  if (bytes.reason === "missing") {
    throw new ConfigError([fileProblem(name, "is a link to something that does not exist", "mend or remove the link")]);
  }
  throw new ConfigError([fileProblem(name, bytes.message, bytes.hint)]);
}

async function isLink(path: string): Promise<boolean> {
  return await lstat(path).then(
    (stats) => stats.isSymbolicLink(),
    () => false,
  );
}

/** Why a file could not be read, for people. */
export interface Unreadable {
  readonly reason: "missing" | "folder" | "other";
  /** Goes on from the file's name: `is a folder, not a file`. */
  readonly message: string;
  readonly hint: string | undefined;
}

/** The whole file, or why not. Pipes will do as well: people write `--config <(...)`. */
export async function readBounded(path: string, bytesMax: number): Promise<Buffer | Unreadable> {
  try {
    const bytes = await readAtMost(path, bytesMax);
    if (bytes !== undefined) return bytes;
    return { reason: "other", message: `is larger than ${bytesMax} bytes`, hint: "is it the right file?" };
  } catch (error) {
    return unreadable(error);
  }
}

function unreadable(error: unknown): Unreadable {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  if (code === "ENOENT" || code === "ENOTDIR") return { reason: "missing", message: "does not exist", hint: undefined };
  if (code === "EISDIR") return { reason: "folder", message: "is a folder, not a file", hint: undefined };
  if (code === "EACCES" || code === "EPERM") {
    return { reason: "other", message: "may not be read", hint: "give this process's user the right to read it" };
  }
  return { reason: "other", message: `cannot be read (${code === "" ? String(error) : code})`, hint: undefined };
}

const OTHERS_MAY_READ = 0o004;

/** A file with a secret that every user of the machine may read; `what` names it. */
export async function openToAllWarnings(path: string, what: string): Promise<string[]> {
  // Pipes and what is gone by now are nobody's concern.
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isFile() !== true || (stats.mode & OTHERS_MAY_READ) === 0) return [];
  return [`every user of this machine may read ${what}: chmod o= takes that back`];
}
