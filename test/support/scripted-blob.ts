import { Readable } from "node:stream";
import { pino } from "pino";
import { orAborted } from "../../src/lib/wait.ts";
import type { Digest } from "../../src/oci/digest.ts";
import type { ByteReader } from "../../src/pull/bytes.ts";
import { ChunkCache } from "../../src/pull/chunks.ts";
import { Fill } from "../../src/pull/fill.ts";
import type { FillOptions } from "../../src/pull/fill-options.ts";
import { FillReader } from "../../src/pull/fill-reader.ts";
import type { OpenUpstream } from "../../src/pull/transfer.ts";
import type { Store } from "../../src/store/store.ts";
import { type ByteRange, UpstreamError } from "../../src/upstream/upstream.ts";

/** How an upstream behaves in one answer. */
export interface Behaviour {
  /** Bytes after which the body breaks off. */
  readonly cutAfter?: number;
  /** Ignores the range and begins at 0. */
  readonly ignoresRange?: boolean;
  /** Does not say the size. */
  readonly hidesSize?: boolean;
  readonly saysSize?: number;
  /** Where it begins, whatever was asked for. */
  readonly startsAt?: number;
  readonly pieceBytes?: number;
  /** Awaited before each piece; the piece's first byte is told. */
  readonly before?: (at: number) => Promise<void> | void;
  readonly refuses?: UpstreamError;
}

export interface ScriptedBlob {
  readonly open: OpenUpstream;
  /** What was asked for, in order. */
  readonly asked: (ByteRange | undefined)[];
}

/** An upstream that has `bytes` and behaves as told, one behaviour a request; the last one stays. */
export function scriptedBlob(bytes: Uint8Array, ...behaviours: readonly Behaviour[]): ScriptedBlob {
  const asked: (ByteRange | undefined)[] = [];
  const open: OpenUpstream = async (range, signal) => {
    const behaviour = behaviours[Math.min(asked.length, behaviours.length - 1)] ?? {};
    asked.push(range);
    if (signal.aborted) throw signal.reason;
    if (behaviour.refuses !== undefined) throw behaviour.refuses;
    const whole = behaviour.ignoresRange === true || range === undefined;
    const start = behaviour.startsAt ?? (whole ? 0 : range.start);
    const end = whole ? bytes.length : Math.min(bytes.length, (range.end ?? Infinity) + 1);
    const size = behaviour.hidesSize === true ? undefined : (behaviour.saysSize ?? bytes.length);
    const body = Readable.from(pieces(bytes, start, end, behaviour, signal), { objectMode: true });
    body.on("error", () => {});
    return { start, size, body };
  };
  return { open, asked };
}

async function* pieces(bytes: Uint8Array, start: number, end: number, how: Behaviour, signal: AbortSignal) {
  const cutAt = start + (how.cutAfter ?? Infinity);
  const last = Math.min(end, cutAt);
  for (let at = start; at < last;) {
    await orAborted(Promise.resolve(how.before?.(at)), signal);
    const piece = bytes.subarray(at, Math.min(last, at + (how.pieceBytes ?? 32 * 1024)));
    yield piece;
    at += piece.length;
  }
  await orAborted(Promise.resolve(how.before?.(last)), signal);
  if (cutAt < end) throw new UpstreamError("unreachable", "cut");
}

export const SILENT = pino({ level: "silent" });

/** A fill of `digest` from `open` into the store. */
export function fillOf(store: Store, digest: Digest, open: OpenUpstream, differs: Partial<FillOptions> = {}): Fill {
  return new Fill({
    digest,
    size: undefined,
    admission: async () => {},
    isNew: async () => !(await store.hasPartial(digest)),
    openSpool: async (size) => await store.openSpool(digest, { registryId: "test", repository: "docker.io/app", size }),
    openUpstream: open,
    prove: async () => {},
    chunks: new ChunkCache(),
    committed: async () => {},
    log: SILENT,
    ...differs,
  });
}

export interface ReadOptions {
  readonly start?: number;
  readonly end?: number;
  /** Awaited after each read. */
  readonly after?: (position: number) => Promise<void> | void;
  readonly signal?: AbortSignal;
}

export interface Got {
  readonly bytes: Buffer;
  readonly error: unknown;
}

export function readerOf(fill: Fill, size: number, open: OpenUpstream, options: ReadOptions = {}): FillReader {
  const span = { start: options.start ?? 0, end: options.end ?? size };
  const signal = options.signal ?? new AbortController().signal;
  return new FillReader({ fill, span, size, openUpstream: open, openPart: open, signal });
}

/** Reads as a response does, and closes: what came, and how it ended. */
export async function drain(reader: ByteReader, size: number, options: ReadOptions = {}): Promise<Got> {
  const { start = 0, end = size } = options;
  const got: Buffer[] = [];
  try {
    for (let position = start; position < end;) {
      const bytes = await nextOf(reader, position);
      if (bytes === undefined) throw new Error(`silently ended at ${position} of ${end}`);
      got.push(bytes);
      position += bytes.length;
      await options.after?.(position);
    }
    return { bytes: Buffer.concat(got), error: undefined };
  } catch (error) {
    return { bytes: Buffer.concat(got), error };
  } finally {
    await reader.close();
  }
}

/** A copy of the next bytes; what was lent is given back. */
export async function nextOf(reader: ByteReader, position: number): Promise<Buffer | undefined> {
  const piece = await reader.next(position);
  if (piece === undefined) return undefined;
  const bytes = Buffer.from(piece.bytes);
  piece.release();
  return bytes;
}

/** A door that is shut until it is opened. */
export function gate(): { readonly promise: Promise<void>; readonly open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { promise, open: resolve };
}
