/** One file within a tar: where its bytes lie. */
export interface TarFile {
  /** Without `./` before it. */
  readonly name: string;
  /** Bytes from the beginning of the tar. */
  readonly offset: number;
  readonly size: number;
}

/** Fills `buffer` from `position` as far as it goes; 0 at the end. */
export type ReadAt = (buffer: Uint8Array, position: number) => Promise<number>;

/** It is no tar, or one that is cut short or damaged. */
export class TarError extends Error {
  override readonly name = "TarError";
}

const BLOCK = 512;
/** Of a long name, or of a file's extended headers; those that real tars have take a few hundred bytes. */
const EXTENDED_BYTES_MAX = 64 * 1024;

/** What a header says, by POSIX's ustar and what GNU tar makes of it. */
interface Header {
  readonly name: string;
  readonly size: number;
  readonly type: string;
}

/** What stands before a file's own header and is meant for it. */
interface Extended {
  name?: string;
  size?: number;
}

/**
 * The plain files of a tar, as their headers come; bytes are passed over, not read. Folders, links and devices are left out: who
 * looks files up by name in here is never led anywhere else. Of files of the same name the last one counts.
 */
export async function* tarFiles(read: ReadAt, end: number): AsyncIterable<TarFile> {
  let extended: Extended = {};
  for (let position = 0; position < end;) {
    const block = await readFully(read, BLOCK, position);
    if (block.every((byte) => byte === 0)) return;
    const header = parseHeader(block);
    const offset = position + BLOCK;
    const size = isOfFile(header.type) ? (extended.size ?? header.size) : header.size;
    if (offset + size > end) throw new TarError(`it ends within ${printed(header.name)}`);
    if (header.type === "x" || header.type === "L") {
      Object.assign(extended, await extendedAt(read, header, offset));
    } else {
      const name = (extended.name ?? header.name).replace(/^(\.\/)+/, "");
      if (isOfFile(header.type)) yield { name, offset, size };
      if (header.type !== "g" && header.type !== "K") extended = {};
    }
    position = offset + Math.ceil(size / BLOCK) * BLOCK;
  }
}

/** `7` is a file that should lie in one piece on the disk. */
function isOfFile(type: string): boolean {
  return type === "0" || type === "\0" || type === "7";
}

function printed(name: string): string {
  return JSON.stringify(name.slice(0, 100));
}

async function readFully(read: ReadAt, length: number, position: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  for (let at = 0; at < length;) {
    const count = await read(buffer.subarray(at), position + at);
    if (count === 0) throw new TarError("it is cut short");
    at += count;
  }
  return buffer;
}

function parseHeader(block: Buffer): Header {
  const sum = block.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  if (octal(block, 148, 8) !== sum) throw new TarError("it is no tar, or a damaged one");
  const prefix = block.toString("latin1", 257, 262) === "ustar" && block[262] === 0 ? textAt(block, 345, 155) : "";
  const name = textAt(block, 0, 100);
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    size: sizeAt(block),
    type: String.fromCharCode(block[156] ?? 0),
  };
}

function textAt(block: Buffer, at: number, length: number): string {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return field.toString("utf8", 0, end === -1 ? length : end);
}

/** Octal digits, or where those do not do, GNU's binary form, whose first bit is set. */
function sizeAt(block: Buffer): number {
  const isBinary = ((block[124] ?? 0) & 0x80) !== 0;
  const size = isBinary ? binary(block.subarray(125, 136)) : octal(block, 124, 12);
  if (size === undefined || !Number.isSafeInteger(size)) throw new TarError("it has a file of an impossible size");
  return size;
}

function binary(bytes: Buffer): number {
  return bytes.reduce((total, byte) => total * 256 + byte, 0);
}

function octal(block: Buffer, at: number, length: number): number | undefined {
  const digits = textAt(block, at, length).trim();
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits || "0", 8) : undefined;
}

async function extendedAt(read: ReadAt, { type, size }: Header, offset: number): Promise<Extended> {
  if (size > EXTENDED_BYTES_MAX) throw new TarError("it has a name that is far too long");
  const bytes = await readFully(read, size, offset);
  if (type === "L") return { name: textAt(bytes, 0, bytes.length) };
  return parsePax(bytes);
}

/** Records of `LENGTH KEY=VALUE\n`, the length being that of the whole record (POSIX, pax). */
export function parsePax(bytes: Buffer): Extended {
  const found: Extended = {};
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at);
    const length = space === -1 ? Number.NaN : Number(bytes.toString("latin1", at, space));
    if (!Number.isSafeInteger(length) || length <= space - at + 1 || at + length > bytes.length)
      throw new TarError("it has extended headers that are none");
    const record = bytes.toString("utf8", space + 1, at + length - 1);
    const equals = record.indexOf("=");
    const [key, value] = [record.slice(0, equals), record.slice(equals + 1)];
    if (key === "path") found.name = value;
    if (key === "size") {
      const size = Number(value);
      if (!/^\d+$/.test(value) || !Number.isSafeInteger(size))
        throw new TarError("it has a file of an impossible size");
      found.size = size;
    }
    at += length;
  }
  return found;
}
