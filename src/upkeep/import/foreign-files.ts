import { constants, type Dirent } from "node:fs";
import { type FileHandle, lstat, open, readdir, readlink, realpath } from "node:fs/promises";
import { join } from "node:path";
import type { ForeignBlob } from "../../store/store.ts";
import { ImportError, type OnProblem } from "./source.ts";

/** Never waits for the other end of a named pipe that somebody put there. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** No such file, a file in place of a folder or the other way round, a symbolic link where none is followed. */
const ABSENT_CODES: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "EISDIR", "ELOOP", "ENAMETOOLONG", "ENXIO"]);
const DENIED_CODES: ReadonlySet<string> = new Set(["EACCES", "EPERM"]);

/** A folder of somebody else's, of which only files and folders are seen that are really within it. */
export class ForeignFolder {
  readonly #root: string;
  readonly #onProblem: OnProblem;

  private constructor(root: string, onProblem: OnProblem) {
    this.#root = root;
    this.#onProblem = onProblem;
  }

  /** Its own name may be a symbolic link: the user has written it. */
  static async open(path: string, onProblem: OnProblem): Promise<ForeignFolder> {
    return new ForeignFolder(await readable(realpath(path), path), onProblem);
  }

  /** The entries in lexical order, symbolic links left out; none where it is not there. */
  async entries(...parts: readonly string[]): Promise<Dirent[]> {
    const path = await this.#within(parts);
    if (path === undefined) return [];
    const entries = (await ifThere(readable(readdir(path, { withFileTypes: true }), path))) ?? [];
    const [links, own] = [
      entries.filter((one) => one.isSymbolicLink()),
      entries.filter((one) => !one.isSymbolicLink()),
    ];
    for (const { name } of links) this.#onProblem({ kind: "leads-out", what: [...parts, name].join("/") });
    return own.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The whole of a small file; undefined where there is none, or one that is longer. */
  async readSmall(bytesMax: number, ...parts: readonly string[]): Promise<Buffer | undefined> {
    const file = await this.file(...parts);
    if (file === undefined || file.size > bytesMax) return undefined;
    return await readAll(file);
  }

  /** Undefined where there is no such file. */
  async file(...parts: readonly string[]): Promise<(ForeignBlob & { readonly path: string }) | undefined> {
    const path = await this.#within(parts);
    const stats = path === undefined ? undefined : await ifThere(readable(lstat(path), path));
    if (path === undefined || stats?.isFile() !== true) return undefined;
    return { path, size: stats.size, open: async () => await opened(path) };
  }

  /** Undefined also for what a symbolic link, at any place, leads to. */
  async #within(parts: readonly string[]): Promise<string | undefined> {
    const path = join(this.#root, ...parts);
    const real = await ifThere(readable(realpath(path), path));
    if (real === undefined || real === path) return real;
    this.#onProblem({ kind: "leads-out", what: parts.join("/") });
    return undefined;
  }
}

/** All bytes of what is small. */
export async function readAll(file: ForeignBlob): Promise<Buffer | undefined> {
  const reader = await file.open();
  try {
    const bytes = Buffer.alloc(file.size);
    for (let at = 0; at < bytes.length;) {
      const count = await reader.read(bytes.subarray(at), at);
      if (count === 0) return undefined;
      at += count;
    }
    return bytes;
  } finally {
    await reader.close();
  }
}

async function opened(path: string): ReturnType<ForeignBlob["open"]> {
  const handle = await readable(open(path, READ_FLAGS), path);
  try {
    const file = { stats: await handle.stat(), name: await nameOf(handle, path) };
    return {
      file,
      read: async (buffer, position) => (await handle.read(buffer, 0, buffer.length, position)).bytesRead,
      close: async () => await handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * By its number. Rejects where the open file is not the one that lies there: whoever may write in there may exchange a folder above it
 * for a link, to have us take what is ours, or somebody else's, for theirs. Only Linux tells.
 */
async function nameOf({ fd }: FileHandle, path: string): Promise<string> {
  const name = `/proc/self/fd/${fd}`;
  const real = await ifThere(readlink(name));
  if (real === undefined) return path;
  if (real === path) return name;
  throw Object.assign(new Error(`${path} was exchanged while it was looked at`), { code: "ENOENT" });
}

async function ifThere<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    if (ABSENT_CODES.has(codeOf(error))) return undefined;
    throw error;
  }
}

/** Turns "not for you" into words that say what to do. */
export async function readable<T>(reading: Promise<T>, path: string): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (!DENIED_CODES.has(codeOf(error))) throw error;
    const hint = "run the import as root or as the user that this belongs to; it only reads there";
    throw new ImportError(`${path}: this user may not read it`, hint, { cause: error });
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}
