import { type IncomingMessage, request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import { createServer } from "node:net";
import { TLSSocket } from "node:tls";
import { type Who, whoAnswered } from "./who.ts";

/** It is this machine, or one in the same network. */
const ANSWER_WITHIN_MS = 4_000;

/** Who answers at an address. */
export type Answered =
  /** A Registry Cache; `certificate`: SHA-256 of the one that it shows. */
  | { readonly kind: "cache"; readonly who: Who; readonly certificate: string | undefined }
  /** What answers as a Registry Cache does, and does not say which: those of earlier versions do not. */
  | { readonly kind: "older" }
  /** Some other program. */
  | { readonly kind: "other"; readonly what: string }
  /** By the system's code. */
  | { readonly kind: "nobody"; readonly code: string };

export interface Place {
  /** Where to connect to; undefined: where the name leads. */
  readonly address?: string | undefined;
  readonly name: string;
  readonly port: number;
  readonly tls: boolean;
}

/** Asks for `/healthz`, whatever certificate is shown. Never rejects. */
export async function whoIsAt(place: Place): Promise<Answered> {
  const { tls } = place;
  try {
    const response = await answerOf(place, "/healthz");
    response.resume();
    const who = whoAnswered(response.headers);
    if (who === undefined && (await isReady(place))) return { kind: "older" };
    if (who === undefined) return { kind: "other", what: `HTTP ${response.statusCode ?? ""}${serverOf(response)}` };
    const { socket } = response;
    const shown = socket instanceof TLSSocket ? socket.getPeerCertificate().fingerprint256 : undefined;
    return { kind: "cache", who, certificate: shown };
  } catch (error) {
    const code = error instanceof Error && error.name === "TimeoutError" ? "ETIMEDOUT" : codeOf(error);
    const isThere = !code.startsWith("E") || ["EPROTO", "ECONNRESET"].includes(code) || code.startsWith("ERR_");
    return isThere ? { kind: "other", what: `no ${tls ? "TLS" : "HTTP"} (${code})` } : { kind: "nobody", code };
  }
}

async function isReady(place: Place): Promise<boolean> {
  const { status, text } = await textAt(place, "/readyz").catch(() => ({ status: 0, text: "" }));
  return status === 200 && /^\{"status":"ready"[,}]/.test(text);
}

/** The answer's status and text, of something small. Rejects with the system's error. */
export async function textAt(place: Place, path: string): Promise<{ readonly status: number; readonly text: string }> {
  const response = await answerOf(place, path);
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > TEXT_BYTES_MAX) break;
    pieces.push(piece);
  }
  return { status: response.statusCode ?? 0, text: Buffer.concat(pieces).toString() };
}

const TEXT_BYTES_MAX = 1024 * 1024;

async function answerOf({ address, name, port, tls }: Place, path: string): Promise<IncomingMessage> {
  const options = {
    host: address ?? name,
    port,
    path,
    headers: { Host: name.includes(":") ? `[${name}]:${port}` : `${name}:${port}` },
    agent: false,
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    ...(tls ? { rejectUnauthorized: false, ...(isName(name) ? { servername: name } : {}) } : {}),
  };
  return await new Promise<IncomingMessage>((resolve, reject) => {
    (tls ? requestTls : requestPlain)(options, resolve).once("error", reject).end();
  });
}

/** Node.js takes no address for a server's name. */
function isName(name: string): boolean {
  return !/^[\d.]+$/.test(name) && !name.includes(":");
}

function serverOf({ headers }: IncomingMessage): string {
  return headers.server === undefined ? "" : ` from ${String(headers.server).slice(0, 60)}`;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown";
}

/** Why nothing could listen there; undefined where something could. */
export async function whyNoListening(host: string, port: number): Promise<string | undefined> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port, exclusive: true }, resolve);
    });
    return undefined;
  } catch (error) {
    return codeOf(error);
  } finally {
    server.close();
  }
}
