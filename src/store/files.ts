import {
  type FileHandle,
  lstat,
  mkdir,
  open,
  readFile,
  readdir,
  rename,
  rm,
  rmdir,
  stat,
  writeFile,
} from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { dirname, join } from "node:path";
import { constants, type Dirent, read as readBytes, readSync, type Stats } from "node:fs";
import { NoRoomError, type PositionalReads } from "./store.ts";

/** The error codes by which an operating system says that nothing more can be written. */
export const NO_ROOM_CODES: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** Rethrows a full disk as `NoRoomError` and anything else as it is. */
export function rethrowNoRoom(error: unknown): never {
  const code = errorCode(error);
  if (code !== undefined && NO_ROOM_CODES.has(code)) {
    throw new NoRoomError(`no room left on the data folder's disk (${code})`, { cause: error });
  }
  throw error;
}

/** No such file, a file in place of a folder, a folder in place of a file, a symbolic link that is not followed. */
const ABSENT_CODES: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "EISDIR", "ELOOP"]);

/** Runs a read and turns "there is no such file or folder" into undefined. */
export async function ifPresent<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    const code = errorCode(error);
    if (code !== undefined && ABSENT_CODES.has(code)) return undefined;
    throw error;
  }
}

/** A file whose last name is a symbolic link is as good as none: we make none, and it may lead out of the data folder. */
export const NO_FOLLOW = constants.O_NOFOLLOW;

/** The whole of a small file; undefined where there is none. */
export async function readFileIfPresent(path: string): Promise<Buffer | undefined> {
  return await ifPresent(readFile(path, { flag: constants.O_RDONLY | NO_FOLLOW }));
}

/** What a file, not a folder or a link, has for facts. */
export async function statFileIfPresent(path: string): Promise<Stats | undefined> {
  const stats = await ifPresent(lstat(path));
  return stats?.isFile() === true ? stats : undefined;
}

/** The folder's entries in lexical order; none where it is not there. */
export async function entriesOf(folder: string): Promise<Dirent[]> {
  const entries = (await ifPresent(readdir(folder, { withFileTypes: true }))) ?? [];
  return entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

const NOT_EMPTY_CODES: ReadonlySet<string> = new Set(["ENOTEMPTY", "EEXIST", "EBUSY"]);

/** False where something is in it. One that is not there counts as removed. */
export async function removeEmptyFolder(folder: string): Promise<boolean> {
  try {
    await ifPresent(rmdir(folder));
    return true;
  } catch (error) {
    if (NOT_EMPTY_CODES.has(errorCode(error) ?? "")) return false;
    throw error;
  }
}

/**
 * Makes a file's whole content visible at once: written beside, synced, renamed, folder synced. It was modified now, or at the time
 * that is given.
 */
export async function writeFileDurably(
  path: string,
  content: Uint8Array | string,
  unfinished: string,
  modifiedAt?: Date,
): Promise<void> {
  await inUnfinished(unfinished, async () => await writeBeside(path, content, unfinished, modifiedAt));
}

/**
 * As `writeFileDurably`, but a power cut may take it: for what is of no use after one. Whoever reads it meanwhile finds the
 * old content or the new one.
 */
export async function replaceFile(path: string, content: Uint8Array | string, unfinished: string): Promise<void> {
  await inUnfinished(unfinished, async () => {
    const temporary = join(unfinished, randomUUID());
    try {
      await writeFile(temporary, content, { flag: "wx", mode: 0o644 });
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  });
}

async function inUnfinished(unfinished: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (errorCode(error) !== "ENOENT") rethrowNoRoom(error);
    // Another process on the same folder, whose process ids are not ours (containers), took our unfinished writes for
    // left-overs of a dead one.
    await mkdir(unfinished, { recursive: true });
    await write().catch(rethrowNoRoom);
  }
}

async function writeBeside(
  path: string,
  content: Uint8Array | string,
  unfinished: string,
  modifiedAt: Date | undefined,
): Promise<void> {
  const temporary = join(unfinished, randomUUID());
  try {
    await writeSynced(temporary, content, modifiedAt);
    await renameDurably(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function writeSynced(path: string, content: Uint8Array | string, modifiedAt: Date | undefined): Promise<void> {
  const handle = await open(path, "wx", 0o644);
  try {
    await handle.writeFile(content);
    if (modifiedAt !== undefined) await handle.utimes(modifiedAt, modifiedAt);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a folder and those above it, one by one: Node's own way never ends where nothing can be made, as below /proc. */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await makeOneFolder(folder);
  } catch (error) {
    if (errorCode(error) !== "ENOENT" || dirname(folder) === folder) throw error;
    await makeFolder(dirname(folder));
    await makeOneFolder(folder);
  }
}

async function makeOneFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    if (errorCode(error) !== "EEXIST" || !(await stat(folder)).isDirectory()) throw error;
  }
}

/** The source must be synced already. The target's new parent folders are synced too, or a power cut could lose them. */
export async function renameDurably(from: string, to: string): Promise<void> {
  const folder = dirname(to);
  const firstMade = await renameInto(folder, from, to);
  await syncFolder(folder);
  if (firstMade === undefined) return;
  for (let made = folder; made.length >= firstMade.length; made = dirname(made)) await syncFolder(dirname(made));
}

/** Whoever tidies up may take the folder away as long as it is empty; once more is enough. */
async function renameInto(folder: string, from: string, to: string): Promise<string | undefined> {
  const firstMade = await mkdir(folder, { recursive: true });
  try {
    await rename(from, to);
    return firstMade;
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    const madeAgain = await mkdir(folder, { recursive: true });
    await rename(from, to);
    return firstMade ?? madeAgain;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Positional reads on an open file. The callback form takes an eighth less time than the handle's own promises; as those do,
 * `close` waits for reads under way, whose number would otherwise be another file's by then.
 */
export class PositionalReader implements PositionalReads {
  readonly #handle: FileHandle;
  readonly #reads = new Set<Promise<number>>();

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async read(buffer: Uint8Array, position: number): Promise<number> {
    const reading = readCallback(this.#handle.fd, buffer, position);
    this.#reads.add(reading);
    try {
      return await reading;
    } finally {
      this.#reads.delete(reading);
    }
  }

  readNow(buffer: Uint8Array, position: number): number {
    return readSync(this.#handle.fd, buffer, 0, buffer.length, position);
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#reads);
    await this.#handle.close();
  }
}

async function readCallback(descriptor: number, buffer: Uint8Array, position: number): Promise<number> {
  return await new Promise((resolve, reject) => {
    readBytes(descriptor, buffer, 0, buffer.length, position, (error, count) =>
      error ? reject(error) : resolve(count),
    );
  });
}

/** Writes all of `bytes`; a write may be cut short by the operating system. */
export async function writeAllAt(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
