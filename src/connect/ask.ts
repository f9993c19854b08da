import { type IncomingMessage, request as requestPlain, type RequestOptions } from "node:http";
import { request as requestTls } from "node:https";
import { getCACertificates } from "node:tls";
import { z } from "zod";
import { connectionFault, isUntrusted } from "../lib/connection-faults.ts";
import type { CacheView } from "./view.ts";

/** By what a cache on another machine lets us in. */
export interface AskOptions {
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** PEM texts. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** How long the answer may take. */
  readonly withinMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Why a cache could not be asked, and what to do. */
export class AskError extends Error {
  override readonly name = "AskError";
  readonly hint: string | undefined;

  constructor(message: string, hint?: string, cause?: unknown) {
    super(message, { cause });
    this.hint = hint;
  }
}

/** Thousands of registries would fit. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
const ANSWER_WITHIN_MS = 15_000;

/** One question to a cache. Rejects with an `AskError` where there is no answer. */
export async function ask(
  url: URL,
  { user, password, ca, cert, key, withinMs = ANSWER_WITHIN_MS }: AskOptions,
): Promise<Answer> {
  const auth = user === undefined ? {} : { auth: `${user}:${password ?? ""}` };
  const own = cert === undefined || key === undefined ? {} : { cert, key };
  const trust = ca === undefined ? {} : { ca: [...getCACertificates("default"), ca] };
  const options: RequestOptions = { ...auth, ...own, ...trust, signal: AbortSignal.timeout(withinMs) };
  const request = url.protocol === "https:" ? requestTls : requestPlain;
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request(url, options, resolve).once("error", reject).end();
    });
    return { status: response.statusCode ?? 0, text: await textOf(response) };
  } catch (error) {
    if (error instanceof AskError) throw error;
    const hint = isUntrusted(error) ? "name the authority of its certificate with --ca FILE" : undefined;
    const isLate = error instanceof Error && error.name === "TimeoutError";
    const fault = isLate ? "did not answer in time" : (connectionFault(error) ?? `cannot be asked (${String(error)})`);
    throw new AskError(`${url.host} ${fault}`, hint, error);
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes > ANSWER_BYTES_MAX) throw new AskError("the answer is too long to be a cache's");
  }
  return Buffer.concat(pieces).toString("utf8");
}

/** What becomes part of settings and scripts must not be able to be anything else, and a host is one that a URL can have. */
const isOrigin = (text: string) => URL.canParse(text) && new URL(text).origin === text;
const isHost = (text: string) => URL.canParse(`http://${text}`) || URL.canParse(`http://[${text}]`);
const name = z.string().regex(/^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?(?::\d{1,5})?$/i);
const address = z.string().regex(/^[0-9a-f:.]+$/i);
const pem = z.string().regex(/^(?:-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n)+$/);

/** What `GET /connect` answers, as far as it is needed here; what a later version adds is passed over. */
const viewShape = z.object({
  url: z
    .string()
    .regex(/^https?:\/\/(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/)
    .refine(isOrigin),
  isForAll: z.boolean(),
  registries: z.array(
    z.object({
      id: z.string(),
      serves: name,
      hostnames: z.array(name.or(address).refine(isHost)),
      passThrough: z.boolean(),
    }),
  ),
  defaultServes: name.or(z.literal("")),
  ways: z.array(z.enum(["anonymous", "basic", "mtls", "path"])),
  ca: pem.optional(),
});

/** Asks a running cache what its clients must know. Rejects with an `AskError`. */
export async function askView(server: URL, options: AskOptions): Promise<CacheView> {
  const url = new URL(`${server.href.replace(/\/$/, "")}/connect`);
  const { status, text } = await ask(url, options);
  if (status === 401) throw new AskError(`${server.host} wants a user and a password`, "--login NAME asks for one");
  if (status === 403) throw new AskError(`${server.host} lets nobody in from here: ${messageOf(text)}`);
  const view = status === 200 ? viewShape.safeParse(parsed(text)) : undefined;
  if (view?.success !== true) {
    throw new AskError(`${server.host} answers ${status}, and not as a cache does`, `look at ${url.href}`);
  }
  const { ca, ...rest } = view.data;
  return { ...rest, ca };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Of an error as registries write it. */
function messageOf(text: string): string {
  const shape = z.object({ errors: z.array(z.object({ message: z.string() })).min(1) }).safeParse(parsed(text));
  return shape.success ? (shape.data.errors[0]?.message ?? "") : "no reason is told";
}
