import { setTimeout as sleep } from "node:timers/promises";
import { type BlobBody, type ByteRange, UpstreamError } from "../upstream/upstream.ts";
import { type Attempts, resumeDelayMs } from "./resume.ts";

/** A content whose size nobody says, neither a manifest nor the upstream, may not be larger than this. */
export const SIZELESS_BYTES_MAX = 16 * 1024 ** 3;

/** Opens the content at an upstream; `range` is undefined for the whole. */
export type OpenUpstream = (range: ByteRange | undefined, signal: AbortSignal) => Promise<BlobBody>;

/** Two say different sizes: which of them is wrong nobody knows, so that it speaks against no byte. */
export class SizeDispute extends UpstreamError {
  constructor(message: string) {
    super("protocol", message);
  }
}

export interface TransferOptions {
  readonly open: OpenUpstream;
  /** First byte wanted. */
  readonly from: number;
  /** Exclusive; undefined: up to the end. */
  readonly end: number | undefined;
  /** The whole content's size where it is known already. */
  readonly size: number | undefined;
  readonly signal: AbortSignal;
  /** Called once, when the whole content's size becomes known. */
  readonly onSize?: (size: number) => void;
  /** Called when an upstream gives the content, of a size that is not another than is known. */
  readonly onOpened?: () => void;
}

/**
 * The bytes `[from, end)` of some content, in order and without a gap, however often the upstream breaks off: it is taken
 * up again where it stood. Another total size, a range that does not continue exactly, or more bytes than announced end it.
 */
export async function* transfer(options: TransferOptions): AsyncGenerator<Uint8Array, void, void> {
  let { from: position, size } = options;
  let attempts: Attempts = { total: 0, fruitless: 0, begun: position > 0 };
  for (;;) {
    const before = position;
    try {
      const opened = await options.open(rangeFrom(position, options), options.signal);
      size = agreedSize(size, opened, options);
      options.onOpened?.();
      for await (const piece of continued(opened, position, options.end)) {
        position += piece.length;
        assertWithin(position, size);
        yield piece;
      }
      if (isComplete(position, options.end ?? size)) return;
      throw new UpstreamError("unreachable", `ended at byte ${position} of ${options.end ?? size}`);
    } catch (error) {
      if (isAllThere(error, position, size, options)) return;
      attempts = next(attempts, position > before);
      const delayMs = resumeDelayMs(error, attempts);
      if (delayMs === undefined) throw error;
      await pause(delayMs, options.signal);
    }
  }
}

function rangeFrom(position: number, { end }: TransferOptions): ByteRange | undefined {
  if (end !== undefined) return { start: position, end: end - 1 };
  return position === 0 ? undefined : { start: position };
}

function agreedSize(known: number | undefined, opened: BlobBody, options: TransferOptions): number | undefined {
  if (opened.size === undefined) return known;
  if (known === undefined) options.onSize?.(opened.size);
  if (known !== undefined && known !== opened.size) {
    opened.body.destroy();
    throw new SizeDispute(`says ${opened.size} bytes where ${known} were expected`);
  }
  return opened.size;
}

/** The body from `position` on, up to `end`; an upstream that ignored the range is skipped forward to it. */
async function* continued(
  opened: BlobBody,
  position: number,
  end: number | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  if (opened.start > position || (opened.start < position && opened.start !== 0)) {
    opened.body.destroy();
    throw new UpstreamError("protocol", `sent bytes from ${opened.start} where ${position} was asked for`);
  }
  let at = opened.start;
  try {
    for await (const piece of opened.body as AsyncIterable<Uint8Array>) {
      const wanted = piece.subarray(Math.max(0, position - at), end === undefined ? piece.length : end - at);
      at += piece.length;
      if (wanted.length > 0) yield wanted;
      if (end !== undefined && at >= end) return;
    }
  } catch (error) {
    throw error instanceof UpstreamError ? error : new UpstreamError("unreachable", "broke off", { cause: error });
  }
}

function assertWithin(position: number, size: number | undefined): void {
  const message = `sent more than ${size ?? SIZELESS_BYTES_MAX} bytes`;
  if (size !== undefined && position > size) throw new SizeDispute(message);
  if (position > SIZELESS_BYTES_MAX && size === undefined) throw new UpstreamError("protocol", message);
}

/**
 * A partial that is whole already, as far as its size is known: after its last byte there is none to be had (RFC 9110,
 * section 15.5.17). If that is not so, the digest tells.
 */
function isAllThere(error: unknown, position: number, size: number | undefined, { end }: TransferOptions): boolean {
  const isEnd = position > 0 && (size === undefined || position >= size);
  return error instanceof UpstreamError && error.status === 416 && isEnd && end === undefined;
}

function isComplete(position: number, end: number | undefined): boolean {
  return end === undefined || position >= end;
}

function next(attempts: Attempts, moved: boolean): Attempts {
  return {
    total: attempts.total + 1,
    fruitless: moved ? 1 : attempts.fruitless + 1,
    begun: attempts.begun || moved,
  };
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    throw new UpstreamError("aborted", "given up while waiting to resume", { cause: error });
  }
}

/** The answer that was asked for before is the first one, where the whole is wanted. */
export function firstOf(asked: Promise<BlobBody> | undefined, open: OpenUpstream): OpenUpstream {
  let first = asked;
  return async (range, signal) => {
    const answer = range === undefined ? first : undefined;
    first = undefined;
    return await (answer ?? open(range, signal));
  };
}
