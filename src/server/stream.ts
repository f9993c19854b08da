import type { ServerResponse } from "node:http";
import { TLSSocket } from "node:tls";
import type { ByteReader, Piece, Span } from "../pull/bytes.ts";
import { ClientGone } from "./access-log.ts";
import type { Exchange } from "./exchange.ts";

/**
 * Streams a span: while one piece is written to the socket the next is read, and no byte is read that the client does not
 * take. `beforeFirst` runs when the first bytes are there, so that a failure before them is still an error response.
 * Rejects when the bytes end early or the client leaves; the caller then destroys the connection.
 */
export async function streamSpan(
  exchange: Exchange,
  reader: ByteReader,
  span: Span,
  beforeFirst: () => void,
): Promise<void> {
  let pending: Promise<void> = Promise.resolve();
  for (let position = span.start; position < span.end;) {
    const piece = await reader.next(position);
    if (piece === undefined) throw new Error(`the bytes ended at ${position} of ${span.end}`);
    try {
      if (position === span.start) beforeFirst();
      await pending;
    } catch (error) {
      piece.release();
      throw error;
    }
    pending = writePiece(exchange, piece);
    // Its rejection is seen at the next await; until then it must not count as unhandled.
    pending.catch(() => undefined);
    position += piece.bytes.length;
  }
  if (span.start === span.end) beforeFirst();
  await pending;
}

async function writePiece(exchange: Exchange, piece: Piece): Promise<void> {
  try {
    await write(exchange, piece.bytes);
  } catch (error) {
    piece.abandon();
    throw error;
  }
  piece.release();
}

/** TLS encrypts a write as a whole, into memory of its own, however little of it the client takes. */
export const TLS_WRITE_BYTES = 256 * 1024;

/**
 * Sends the last bytes of a response without a copy; whether they went out is seen when it finishes. Rejects when the client
 * leaves before the last piece.
 */
export async function sendBytes(exchange: Exchange, bytes: Uint8Array): Promise<void> {
  const { req, res } = exchange;
  let rest = bytes;
  if (req.socket instanceof TLSSocket) {
    for (; rest.length > TLS_WRITE_BYTES; rest = rest.subarray(TLS_WRITE_BYTES)) {
      await write(exchange, rest.subarray(0, TLS_WRITE_BYTES));
    }
  }
  const sent = handedOver(exchange, rest.length);
  res.end(rest, sent);
}

/** The same for what stands between other bytes. */
export function sendAside(exchange: Exchange, bytes: Uint8Array): void {
  exchange.res.write(bytes, handedOver(exchange, bytes.length));
}

/**
 * Notes what the socket gets now; whoever leaves while it is sent may have had it all. A response that is queued behind another has no
 * socket yet: its bytes count when they are sent, which what is returned must be told.
 */
function handedOver({ res, notes }: Exchange, length: number): (error?: Error | null) => void {
  if (res.socket !== null) {
    notes.bytes += length;
    return () => undefined;
  }
  return (error) => {
    if (error === undefined || error === null) notes.bytes += length;
  };
}

/** Resolves when the bytes have left for the operating system. */
async function write(exchange: Exchange, bytes: Uint8Array): Promise<void> {
  const { res, signal } = exchange;
  signal.throwIfAborted();
  const sent = handedOver(exchange, bytes.length);
  await new Promise<void>((resolve, reject) => {
    const gone = () => reject(signal.reason as Error);
    signal.addEventListener("abort", gone, { once: true });
    writeTo(res, bytes, (error) => {
      signal.removeEventListener("abort", gone);
      sent(error);
      // Writing to a socket fails for one reason only: nobody is there any more.
      if (error === undefined || error === null) resolve();
      else reject(new ClientGone("the connection broke", { cause: error }));
    });
  });
}

function writeTo(res: ServerResponse, bytes: Uint8Array, done: (error: Error | null | undefined) => void): void {
  res.write(bytes, done);
}
