import type { Hash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, mkdir, open, rm } from "node:fs/promises";
import { dirname } from "node:path";
import {
  NO_FOLLOW,
  PositionalReader,
  readFileIfPresent,
  renameDurably,
  rethrowNoRoom,
  writeAllAt,
  replaceFile,
} from "./files.ts";
import { ORIGIN_SUFFIX } from "./layout.ts";
import { NoRoomError, type Spool, type SpoolOrigin } from "./store.ts";

const REHASH_BUFFER_BYTES = 1024 * 1024;
/** How many bytes are written before the disk's reserve is looked at again. */
const ROOM_CHECK_BYTES = 16 * 1024 * 1024;

export interface FileSpoolOptions {
  readonly path: string;
  readonly blobPath: string;
  readonly unfinished: string;
  readonly origin: SpoolOrigin;
  /** Bytes that may still be written. */
  readonly room: () => Promise<number>;
  /** Called with how many bytes lie there, whenever those are others than before. */
  readonly onBytes: (bytes: number) => void;
  /** Called when nothing more will be written; `isLeft`: and it stays as a partial. */
  readonly onEnd: (isLeft: boolean) => void;
}

/** Opens a new spool or a partial. Rejects with `NoRoomError` where not even its first bytes could be kept. */
export async function openFileSpool(options: FileSpoolOptions): Promise<Spool> {
  try {
    await mkdir(dirname(options.path), { recursive: true });
    // Not "a+": appending would ignore the position that a write after a failed write needs.
    const flags = constants.O_RDWR | constants.O_CREAT | NO_FOLLOW;
    const handle = await open(options.path, flags, 0o644);
    return await beginSpool(handle, options);
  } catch (error) {
    rethrowNoRoom(error);
  }
}

/** Undefined also for what a crash has left without an origin that can be read. */
export async function registryOfPartial(spoolPath: string): Promise<unknown> {
  const text = await readFileIfPresent(originPath(spoolPath));
  if (text === undefined) return undefined;
  try {
    return (JSON.parse(text.toString("utf8")) as Partial<SpoolOrigin> | null)?.registryId;
  } catch {
    return undefined;
  }
}

async function beginSpool(handle: FileHandle, options: FileSpoolOptions): Promise<Spool> {
  try {
    const { size } = await handle.stat();
    try {
      const needed = Math.max(1, (options.origin.size ?? 0) - size);
      if ((await options.room()) < needed) throw new NoRoomError(`${needed} bytes would touch the disk's reserve`);
      // An old partial is wanted again: from now on it must not be reaped as one that nobody asks for.
      const now = new Date();
      await handle.utimes(now, now);
      options.onBytes(size);
      const isForeign = size > 0 && (await registryOfPartial(options.path)) !== options.origin.registryId;
      if (!isForeign) await writeOrigin(options);
      return new FileSpool(handle, { existingBytes: isForeign ? 0 : size, isForeign }, options);
    } catch (error) {
      if (size === 0) await removeSpool(options.path);
      throw error;
    }
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Not synced, since the first byte for a client waits for it: a partial without its origin is begun anew. */
async function writeOrigin({ path, origin, unfinished }: FileSpoolOptions): Promise<void> {
  await replaceFile(originPath(path), `${JSON.stringify(origin)}\n`, unfinished);
}

class FileSpool implements Spool {
  readonly existingBytes: number;
  readonly #handle: FileHandle;
  readonly #reader: PositionalReader;
  readonly #options: FileSpoolOptions;
  #writtenBytes: number;
  #roomCheckedAtBytes: number;
  /**
   * What another registry sent is not gone on with: it was never verified, and may have been meant to spoil. It makes way for the first
   * byte, not for the question.
   */
  #isForeign: boolean;

  constructor(
    handle: FileHandle,
    { existingBytes, isForeign }: { readonly existingBytes: number; readonly isForeign: boolean },
    options: FileSpoolOptions,
  ) {
    this.#handle = handle;
    this.#reader = new PositionalReader(handle);
    this.#options = options;
    this.existingBytes = existingBytes;
    this.#isForeign = isForeign;
    this.#writtenBytes = existingBytes;
    this.#roomCheckedAtBytes = existingBytes;
  }

  async rehash(hash: Hash, signal: AbortSignal, onProgress: (bytes: number) => void): Promise<void> {
    const buffer = Buffer.allocUnsafe(REHASH_BUFFER_BYTES);
    for (let position = 0; position < this.existingBytes;) {
      signal.throwIfAborted();
      const bytesRead = await this.#reader.read(buffer, position);
      if (bytesRead === 0) throw new Error("a partial became shorter while it was hashed");
      hash.update(buffer.subarray(0, bytesRead));
      position += bytesRead;
      onProgress(position);
    }
  }

  async append(bytes: Uint8Array): Promise<void> {
    try {
      await this.#dropForeign();
      await this.#keepReserve();
      await writeAllAt(this.#handle, bytes, this.#writtenBytes);
      this.#writtenBytes += bytes.length;
      this.#options.onBytes(this.#writtenBytes);
    } catch (error) {
      rethrowNoRoom(error);
    }
  }

  async #dropForeign(): Promise<void> {
    if (!this.#isForeign) return;
    await this.#handle.truncate(0);
    this.#options.onBytes(0);
    await writeOrigin(this.#options);
    this.#isForeign = false;
  }

  async #keepReserve(): Promise<void> {
    if (this.#writtenBytes - this.#roomCheckedAtBytes < ROOM_CHECK_BYTES) return;
    this.#roomCheckedAtBytes = this.#writtenBytes;
    if ((await this.#options.room()) <= 0) throw new NoRoomError("the disk's reserve is reached");
  }

  async read(buffer: Uint8Array, position: number): Promise<number> {
    return await this.#reader.read(buffer, position);
  }

  readNow(buffer: Uint8Array, position: number): number {
    return this.#reader.readNow(buffer, position);
  }

  async commit(onStored?: () => void): Promise<void> {
    try {
      await this.#dropForeign();
      await this.#handle.sync();
      await renameDurably(this.#options.path, this.#options.blobPath);
    } catch (error) {
      rethrowNoRoom(error);
    }
    this.#options.onEnd(false);
    onStored?.();
    await rm(originPath(this.#options.path), { force: true });
  }

  async keep(): Promise<void> {
    this.#options.onEnd(true);
    if (this.#isForeign) return;
    // A write that failed half-way may have left bytes that were never counted.
    await this.#handle.truncate(this.#writtenBytes);
    if (this.#writtenBytes === 0) await this.discard();
  }

  async discard(): Promise<void> {
    this.#options.onEnd(true);
    if (this.#isForeign) return;
    await removeSpool(this.#options.path);
    this.#options.onEnd(false);
  }

  async close(): Promise<void> {
    await this.#reader.close();
  }
}

export function originPath(spoolPath: string): string {
  return spoolPath + ORIGIN_SUFFIX;
}

/** Recursive, since a folder of that name would otherwise stop the reaping of all others, at every start. */
export async function removeSpool(spoolPath: string): Promise<void> {
  await rm(spoolPath, { force: true, recursive: true });
  await rm(originPath(spoolPath), { force: true });
}
