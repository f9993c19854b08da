import { type EventEmitter, once } from "node:events";
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { Agent as TlsAgent, request as requestTls } from "node:https";
import { type Socket, connect } from "node:net";

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** False where the connection broke before the body was whole. */
  readonly isWhole: boolean;
}

export interface Ask {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  /** PEM of the authority that an `https:` server is trusted by. */
  readonly ca?: string;
  /** PEM of the client's own certificate and key. */
  readonly cert?: string;
  readonly key?: string;
}

/** A connection for each request, so that no test waits for another's. */
const agent = new Agent({ keepAlive: false, maxSockets: Infinity });
const tlsAgent = new TlsAgent({ keepAlive: false, maxSockets: Infinity });

/** One request, with the path sent exactly as given; never rejects once an answer has begun. */
export async function ask(url: string, options: Ask = {}): Promise<Answer> {
  const response = await open(url, options);
  const pieces: Buffer[] = [];
  try {
    for await (const piece of response) pieces.push(piece as Buffer);
  } catch {
    // `complete` says it.
  }
  const body = Buffer.concat(pieces);
  return { status: response.statusCode ?? 0, headers: response.headers, body, isWhole: response.complete };
}

/** The answer's head; the caller reads or destroys the body. */
export async function open(url: string, options: Ask = {}): Promise<IncomingMessage> {
  const origin = /^(https?:\/\/[^/]+)(.*)$/.exec(url);
  if (origin === null) throw new Error(`not an absolute URL: ${url}`);
  const { method = "GET", headers = {}, ca, cert, key } = options;
  const what = { method, path: origin[2] === "" ? "/" : origin[2], headers };
  const sent = url.startsWith("https:")
    ? requestTls(origin[1] as string, { ...what, agent: tlsAgent, ca, cert, key })
    : request(origin[1] as string, { ...what, agent });
  sent.end(options.body);
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return response;
}

/** Reads at least `bytes` of a body, then stops reading, leaving the connection open. */
export async function readSome(response: IncomingMessage, bytes: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let count = 0;
  while (count < bytes) {
    const piece: unknown = response.read();
    if (piece instanceof Buffer) {
      pieces.push(piece);
      count += piece.length;
    } else if (response.readableEnded || response.destroyed) break;
    else await anyOf(response, ["readable", "end", "close"]);
  }
  return Buffer.concat(pieces);
}

async function anyOf(emitter: EventEmitter, events: readonly string[]): Promise<void> {
  const rest = new AbortController();
  const waits = events.map(async (event) => await once(emitter, event, { signal: rest.signal }));
  try {
    await Promise.race(waits);
  } finally {
    rest.abort();
    await Promise.allSettled(waits);
  }
}

/** Sends raw bytes and gives back all that comes until the server closes, or until `until` is seen. */
export async function raw(url: string, text: string | Buffer, until?: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket: Socket = connect(Number(port), hostname);
  let received = "";
  socket.setEncoding("latin1");
  socket.on("error", () => undefined);
  socket.write(text);
  const done = Promise.withResolvers<void>();
  socket.on("data", (piece: string) => {
    received += piece;
    if (until !== undefined && received.includes(until)) done.resolve();
  });
  socket.on("close", () => done.resolve());
  await done.promise;
  socket.destroy();
  return received;
}

/** The error code of a spec-shaped error body. */
export function errorCode(answer: Answer): string | undefined {
  const parsed = JSON.parse(answer.body.toString("utf8")) as { errors?: { code?: string; message?: string }[] };
  const first = parsed.errors?.[0];
  return first?.message === undefined ? undefined : first.code;
}
