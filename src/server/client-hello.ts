/** What a client says first when it wants TLS (RFC 8446, section 4.1.2), as far as it matters here. */
export interface ClientHello {
  /** Whom it wants to speak to (RFC 6066), in lower case. */
  readonly serverName: string | undefined;
  /** What it would speak inside (ALPN, RFC 7301). */
  readonly protocols: readonly string[];
}

/** Common ones have 300 to 2,000 bytes; nothing that is longer is waited for. */
export const HELLO_BYTES_MAX = 16 * 1024;

const HANDSHAKE_RECORD = 22;
const RECORD_HEADER_BYTES = 5;
const RECORD_BYTES_MAX = 2 ** 14;
/** Clients use one or two; who sends more of them wants to keep us busy. */
const RECORDS_MAX = 16;
const CLIENT_HELLO = 1;
const MESSAGE_HEADER_BYTES = 4;
const RANDOM_BYTES = 32;
const SERVER_NAME_EXTENSION = 0;
const HOST_NAME = 0;
const ALPN_EXTENSION = 16;

/** From the first bytes of a connection; `partial`: more are needed; `other`: whatever it is, it is no client hello. */
export function readClientHello(bytes: Buffer): ClientHello | "partial" | "other" {
  const message = handshakeOf(bytes);
  if (typeof message === "string") return message;
  try {
    return readMessage(new Cursor(message));
  } catch (error) {
    if (error instanceof RangeError) return "other";
    throw error;
  }
}

/** The first message, which may be spread over several records; without its header. */
function handshakeOf(bytes: Buffer): Buffer | "partial" | "other" {
  let message: Buffer = Buffer.alloc(0);
  for (let at = 0, records = 0; records < RECORDS_MAX; records += 1) {
    if (!mayBeRecord(bytes, at)) return "other";
    const body = at + RECORD_HEADER_BYTES;
    if (bytes.length < body) return "partial";
    at = body + bytes.readUInt16BE(body - 2);
    message = Buffer.concat([message, bytes.subarray(body, at)]);
    if (message.length > 0 && message[0] !== CLIENT_HELLO) return "other";
    const end = message.length < MESSAGE_HEADER_BYTES ? undefined : MESSAGE_HEADER_BYTES + message.readUIntBE(1, 3);
    if (end !== undefined && end > HELLO_BYTES_MAX) return "other";
    if (end !== undefined && message.length >= end) return message.subarray(MESSAGE_HEADER_BYTES, end);
    if (bytes.length < at) return "partial";
  }
  return "other";
}

/** As far as it is there. */
function mayBeRecord(bytes: Buffer, at: number): boolean {
  const [type = HANDSHAKE_RECORD, major = 3] = bytes.subarray(at, at + 2);
  if (type !== HANDSHAKE_RECORD || major !== 3) return false;
  if (bytes.length < at + RECORD_HEADER_BYTES) return true;
  const length = bytes.readUInt16BE(at + RECORD_HEADER_BYTES - 2);
  return length > 0 && length <= RECORD_BYTES_MAX;
}

/** Throws RangeError where the message ends too early. */
function readMessage(message: Cursor): ClientHello {
  message.take(2 + RANDOM_BYTES);
  // Session, ciphers, compression.
  for (const size of [1, 2, 1] as const) message.vector(size);
  let serverName: string | undefined;
  let protocols: readonly string[] = [];
  const extensions = message.isAtEnd ? message : message.vector(2);
  while (!extensions.isAtEnd) {
    const type = extensions.integer(2);
    const content = extensions.vector(2);
    if (type === SERVER_NAME_EXTENSION) serverName = readServerName(content.vector(2));
    else if (type === ALPN_EXTENSION) protocols = readProtocols(content.vector(2));
  }
  return { serverName, protocols };
}

function readServerName(names: Cursor): string | undefined {
  while (!names.isAtEnd) {
    const type = names.integer(1);
    const name = names.vector(2);
    if (type === HOST_NAME) return name.rest().toString("latin1").toLowerCase();
  }
  return undefined;
}

function readProtocols(list: Cursor): string[] {
  const protocols: string[] = [];
  while (!list.isAtEnd) protocols.push(list.vector(1).rest().toString("latin1"));
  return protocols;
}

/** Goes over bytes; throws RangeError beyond their end. */
class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  take(count: number): Buffer {
    const end = this.#at + count;
    if (end > this.#bytes.length) throw new RangeError("the message ends too early");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  integer(size: 1 | 2): number {
    return this.take(size).readUIntBE(0, size);
  }

  /** What has its length before it, in so many bytes. */
  vector(size: 1 | 2): Cursor {
    return new Cursor(this.take(this.integer(size)));
  }

  rest(): Buffer {
    return this.take(this.#bytes.length - this.#at);
  }
}
