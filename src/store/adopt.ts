import { randomUUID } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { chmod, copyFile, type FileHandle, link, lstat, open, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { humanSize } from "../lib/human.ts";
import { type Digest, digestAlgorithm, finishDigest, hasherFor } from "../oci/digest.ts";
import {
  errorCode,
  ifPresent,
  NO_FOLLOW,
  NO_ROOM_CODES,
  PositionalReader,
  renameDurably,
  rethrowNoRoom,
  statFileIfPresent,
  writeAllAt,
} from "./files.ts";
import { type Adoption, type AdoptOptions, type ForeignBlob, NoRoomError } from "./store.ts";

/** Read, and where it must be, written at once. */
const PIECE_BYTES = 1024 * 1024;
/** How many bytes are copied before the disk's reserve is looked at again. */
const ROOM_CHECK_BYTES = 16 * 1024 * 1024;
const READABLE_BY_ALL = 0o004;
const WRITABLE_BY_OTHERS = 0o022;
const ROOT = 0;
const FILE_MODE = 0o644;

export interface AdoptingOptions extends AdoptOptions {
  readonly digest: Digest;
  readonly from: ForeignBlob;
  readonly blobPath: string;
  readonly unfinished: string;
  /** Whose files the store's readers can read in any case. */
  readonly ownerId: number;
  /** Bytes that may still be written. */
  readonly room: () => Promise<number>;
}

/** See `Store.adopt`. */
export async function adoptBlob(options: AdoptingOptions): Promise<Adoption> {
  const { digest, from, blobPath, unfinished } = options;
  const held = await statFileIfPresent(blobPath);
  if (held?.size === from.size) {
    if (await isFile(from, held)) return "held";
    return (await hashOf(digest, from, options)) === digest ? "held" : "damaged";
  }
  const temporary = join(unfinished, randomUUID());
  try {
    const there = await brought(options, temporary);
    if (there.digest !== digest) return "damaged";
    await renameDurably(temporary, blobPath);
    return there.how;
  } catch (error) {
    rethrowNoRoom(error);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Bytes of room that taking it over would need, as far as that can be told without trying. */
export async function roomFor(from: ForeignBlob, dataDir: string, ownerId: number): Promise<number> {
  if (from.path === undefined) return from.size;
  const [file, folder] = await Promise.all([ifPresent(lstat(from.path)), statNearest(dataDir)]);
  const isNear = file !== undefined && file.dev === folder.dev;
  // What others own can be linked to by root alone (fs.protected_hardlinks).
  const mayLink = [ROOT, file?.uid].includes(process.geteuid?.() ?? ROOT);
  return isNear && mayLink && isGoodToShare(file, ownerId) ? 0 : from.size;
}

/** The folder, or what it would be made in. */
export async function nearest(folder: string): Promise<string> {
  const isThere = (await ifPresent(stat(folder))) !== undefined;
  return isThere || dirname(folder) === folder ? folder : await nearest(dirname(folder));
}

export async function statNearest(folder: string): Promise<Stats> {
  return await stat(await nearest(folder));
}

interface Brought {
  readonly how: "linked" | "cloned" | "copied";
  /** What the bytes are. */
  readonly digest: Digest | undefined;
}

/** Under the temporary name, so that nothing is seen of it before it was hashed. */
async function brought(options: AdoptingOptions, temporary: string): Promise<Brought> {
  const { from, digest } = options;
  const { path } = from;
  if (path !== undefined) {
    const how = await linkedOrCloned({ ...from, path }, temporary, options);
    if (how !== undefined) {
      const own = { size: from.size, open: async () => await openSynced(temporary) };
      return { how, digest: await hashOf(digest, own, options) };
    }
  }
  return { how: "copied", digest: await copied(options, temporary) };
}

/** The name may lead elsewhere by now: what counts is the file that is open. */
async function linkedOrCloned(
  from: ForeignBlob & { readonly path: string },
  temporary: string,
  { ownerId }: AdoptingOptions,
): Promise<"linked" | "cloned" | undefined> {
  const opened = await from.open();
  const { file } = opened;
  try {
    if (file?.stats.isFile() !== true) return undefined;
    if (isGoodToShare(file.stats, ownerId) && (await isDone(link(from.path, temporary)))) {
      if (isSame(await lstat(temporary), file.stats)) return "linked";
      await rm(temporary);
    }
    if (!(await isDone(copyFile(file.name, temporary, constants.COPYFILE_FICLONE_FORCE)))) return undefined;
    await chmod(temporary, FILE_MODE);
    return "cloned";
  } finally {
    await opened.close();
  }
}

/** Another file system, no right to it, too many links, none of it known there: then it is copied. A full disk stays one. */
async function isDone(doing: Promise<void>): Promise<boolean> {
  try {
    await doing;
    return true;
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined || NO_ROOM_CODES.has(code)) throw error;
    return false;
  }
}

/**
 * A file that only its owner may read would be of no use to whoever serves from here; one that somebody else may write could become
 * anything after it was hashed.
 */
function isGoodToShare({ mode, uid }: Stats, ownerId: number): boolean {
  const isReadable = (mode & READABLE_BY_ALL) !== 0 || uid === ownerId;
  const isOurs = [ROOT, ownerId, process.geteuid?.()].includes(uid);
  return isReadable && isOurs && (mode & WRITABLE_BY_OTHERS) === 0;
}

/** Whether it is that file itself, and not merely one of the same name. */
async function isFile(from: ForeignBlob, stats: Stats): Promise<boolean> {
  if (from.path === undefined) return false;
  const opened = await from.open();
  await opened.close();
  return opened.file !== undefined && isSame(opened.file.stats, stats);
}

function isSame(one: Stats, other: Stats): boolean {
  return one.dev === other.dev && one.ino === other.ino;
}

/** Opened for reading, with what is in memory of it brought to the disk first. */
async function openSynced(path: string): Promise<PositionalReader> {
  const handle = await open(path, constants.O_RDONLY | NO_FOLLOW);
  await handle.sync();
  return new PositionalReader(handle);
}

/** Undefined where it is shorter than it says. */
async function hashOf(
  digest: Digest,
  from: Pick<ForeignBlob, "size" | "open">,
  { signal, onBytes }: AdoptOptions,
): Promise<Digest | undefined> {
  const hash = hasherFor(digest);
  const isWhole = await readThrough(from, signal, async (piece) => {
    hash.update(piece);
    onBytes(piece.length);
  });
  return isWhole ? finishDigest(digestAlgorithm(digest), hash) : undefined;
}

async function copied(options: AdoptingOptions, temporary: string): Promise<Digest | undefined> {
  const { digest, from, signal, onBytes } = options;
  const hash = hasherFor(digest);
  let [written, checkedAt] = [0, 0];
  await assertRoom(options, from.size);
  return await writing(temporary, async (handle) => {
    const isWhole = await readThrough(from, signal, async (piece) => {
      if (written - checkedAt >= ROOM_CHECK_BYTES) {
        await assertRoom(options, from.size - written);
        checkedAt = written;
      }
      hash.update(piece);
      await writeAllAt(handle, piece, written);
      written += piece.length;
      onBytes(piece.length);
    });
    return isWhole ? finishDigest(digestAlgorithm(digest), hash) : undefined;
  });
}

async function assertRoom({ room }: AdoptingOptions, bytes: number): Promise<void> {
  if ((await room()) < bytes) throw new NoRoomError(`${humanSize(bytes)} more would touch the disk's reserve`);
}

/** A new file, synced once it is written. */
async function writing<T>(path: string, write: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await open(path, "wx", FILE_MODE);
  try {
    const result = await write(handle);
    await handle.sync();
    return result;
  } finally {
    await handle.close();
  }
}

/** True where there were as many bytes as it has; more of them are not read. */
async function readThrough(
  { size, open: openFrom }: Pick<ForeignBlob, "size" | "open">,
  signal: AbortSignal,
  take: (piece: Uint8Array) => Promise<void>,
): Promise<boolean> {
  const reader = await openFrom();
  try {
    const buffer = Buffer.allocUnsafe(Math.min(PIECE_BYTES, Math.max(1, size)));
    let position = 0;
    while (position < size) {
      signal.throwIfAborted();
      const count = await reader.read(buffer.subarray(0, Math.min(buffer.length, size - position)), position);
      if (count === 0) return false;
      await take(buffer.subarray(0, count));
      position += count;
    }
    return true;
  } finally {
    await reader.close();
  }
}
