import { once } from "node:events";
import { type IncomingMessage, request, type RequestOptions } from "node:http";
import { request as requestTls } from "node:https";
import { createInterface } from "node:readline";
import { controlPlace } from "../admin/control.ts";
import { CliError } from "./failure.ts";

/** A cache that does not answer within it is not going to; what acts has more time. */
const ANSWER_MS_MAX = 60_000;
const ACT_MS_MAX = 15 * 60_000;
const BODY_BYTES_MAX = 64 * 1024 * 1024;

const BROKEN_OFF = "the cache has broken off: it was stopped, or something is wrong with it";

/** The password for `--user`; a secret. */
export const PASSWORD_VARIABLE = "REGISTRY_CACHE_API_PASSWORD";

/** A cache elsewhere, and what it is shown. */
export interface ServerPlace {
  /** Origin. */
  readonly url: string;
  /** A secret. */
  readonly authorization?: string | undefined;
  /** PEM texts. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** Where the running cache is asked: by the local socket in its data folder, or elsewhere. */
export type CachePlace = string | ServerPlace;

export interface ControlQuestion {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** With its query. */
  readonly path: string;
  readonly body?: unknown;
  readonly signal: AbortSignal;
}

/** The cache has understood who asks, and says no to this one question. */
export class RefusedError extends CliError {}

/** What is wrong with one image and may be right with the next; anybody who may not ask may not ask for that one either. */
const ABOUT_ONE: ReadonlySet<number> = new Set([400, 404, 409]);

/** Asks the running cache; rejects with a `CliError` where none runs, and for what it refuses. */
export async function askCache(place: CachePlace, question: ControlQuestion): Promise<unknown> {
  return JSON.parse(await textOf(await answerOf(place, question))) as unknown;
}

/** The lines of an answer as they come. */
export async function* linesOfCache(place: CachePlace, question: ControlQuestion): AsyncIterable<unknown> {
  for await (const line of rawLines(place, question)) if (line !== "") yield JSON.parse(line) as unknown;
}

/** One of the server-sent events. */
export interface ToldEvent {
  readonly type: string;
  readonly data: unknown;
}

/** What is told as it happens; it ends when the cache does. */
export async function* eventsOfCache(
  place: CachePlace,
  question: Omit<ControlQuestion, "method">,
): AsyncIterable<ToldEvent> {
  let type = "message";
  for await (const line of rawLines(place, { ...question, method: "GET" })) {
    if (line === "") type = "message";
    else if (line.startsWith("event: ")) type = line.slice("event: ".length);
    else if (line.startsWith("data: ")) yield { type, data: JSON.parse(line.slice("data: ".length)) as unknown };
  }
}

async function* rawLines(place: CachePlace, question: ControlQuestion): AsyncIterable<string> {
  const answer = await answerOf(place, question);
  try {
    yield* createInterface({ input: answer, crlfDelay: Infinity });
    if (!answer.complete) throw new CliError(BROKEN_OFF);
  } catch (error) {
    throw question.signal.aborted ? question.signal.reason : explained(error, place, true);
  } finally {
    answer.destroy();
  }
}

async function answerOf(place: CachePlace, { method, path, body, signal }: ControlQuestion): Promise<IncomingMessage> {
  const text = body === undefined ? "" : JSON.stringify(body);
  const ofBody =
    method === "GET" ? {} : { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) };
  let local;
  try {
    local = typeof place === "string" ? await controlPlace(place) : undefined;
    const timeout = method === "GET" ? ANSWER_MS_MAX : ACT_MS_MAX;
    const options: Asked = { path, method, headers: ofBody, signal, timeout };
    const asking =
      typeof place === "string" ? request({ ...options, socketPath: local?.path }) : askingAt(place, options);
    asking.once("timeout", () => asking.destroy(new CliError("the cache does not answer")));
    asking.end(method === "GET" ? undefined : text);
    const [answer] = (await once(asking, "response")) as [IncomingMessage];
    // From now on it may take as long as it takes.
    asking.setTimeout(0);
    const { statusCode = 0 } = answer;
    if (statusCode >= 200 && statusCode < 300) return answer;
    throw await refusal(answer, place);
  } catch (error) {
    throw signal.aborted ? signal.reason : explained(error, place);
  } finally {
    await local?.folder?.close();
  }
}

interface Asked extends RequestOptions {
  readonly headers: Readonly<Record<string, string | number>>;
}

function askingAt({ url, authorization, ca, cert, key }: ServerPlace, options: Asked) {
  const headers = { ...options.headers, ...(authorization === undefined ? {} : { Authorization: authorization }) };
  if (!url.startsWith("https:")) return request(url, { ...options, headers });
  return requestTls(url, { ...options, headers, ca, cert, key });
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of answer as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > BODY_BYTES_MAX) throw new CliError("the cache has sent far more than it should");
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

async function refusal(answer: IncomingMessage, place: CachePlace): Promise<CliError> {
  const { statusCode = 0 } = answer;
  const text = await textOf(answer);
  const exitCode = statusCode === 400 ? 2 : 1;
  try {
    const { detail } = JSON.parse(text) as { detail?: unknown };
    const options = { hint: hintFor(statusCode, place, detail), exitCode } as const;
    if (typeof detail === "string" && ABOUT_ONE.has(statusCode)) return new RefusedError(detail, options);
    if (typeof detail === "string") return new CliError(`the cache refuses: ${detail}`, options);
  } catch {
    // Then the status has to do.
  }
  if (typeof place !== "string" && statusCode === 404) {
    return new CliError(`there is no Registry Cache at ${place.url}`, { hint: "or one that is too old for this" });
  }
  // Nothing that is asked here is so wrong: it is how servers answer who does not speak TLS to them.
  if (typeof place !== "string" && statusCode === 400 && isPlain(place)) return plainTalk(place);
  return new CliError(`the cache answers ${statusCode}`, { hint: hintFor(statusCode, place, undefined), exitCode });
}

function hintFor(status: number, place: CachePlace, detail: unknown): string | undefined {
  if (typeof place === "string") return undefined;
  if (status === 403 && typeof detail === "string" && detail.includes("api.admins"))
    return "name who asks under api: admins: in the cache's configuration, or run this on the cache's own machine";
  if (status !== 401) return undefined;
  if (place.authorization !== undefined)
    return `look at --user, and at the password in ${PASSWORD_VARIABLE} or --password-file`;
  return "say who you are with --user NAME, or --cert FILE --key FILE";
}

function explained(error: unknown, place: CachePlace, hasBegun = false): unknown {
  if (error instanceof CliError) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  // Others hang up without a word.
  if (typeof place !== "string" && isPlain(place) && code === "ECONNRESET" && !hasBegun) return plainTalk(place, error);
  if (code === "ECONNRESET" || code === "EPIPE") return new CliError(BROKEN_OFF, { cause: error });
  return typeof place === "string" ? explainedLocal(error, code, place) : explainedServer(error, code, place);
}

function isPlain({ url }: ServerPlace): boolean {
  return !url.startsWith("https:");
}

function plainTalk({ url }: ServerPlace, cause?: unknown): CliError {
  const hint = `if it speaks TLS, say --server https:${url.slice("http:".length)}`;
  return new CliError(`what is at ${url} does not answer plain HTTP`, { hint, cause });
}

function explainedLocal(error: unknown, code: string, dataDir: string): unknown {
  if (code === "ENOENT" || code === "ECONNREFUSED") {
    const hint =
      "start it with `registry-cache serve`, or say with --config which one is meant, or with --server where";
    return new CliError(`no cache is running on ${dataDir}`, { hint, cause: error });
  }
  if (code === "EACCES" || code === "EPERM") {
    const hint = "run this command as root, or as the user that the cache runs as";
    return new CliError(`this user may not give commands to the cache on ${dataDir}`, { hint, cause: error });
  }
  return error;
}

/** How a certificate is called that nobody here trusts (OpenSSL's names for what is wrong with it). */
const UNTRUSTED = /^(?:DEPTH_ZERO_)?SELF_SIGNED_CERT|^UNABLE_TO_|^CERT_/;

function explainedServer(error: unknown, code: string, { url }: ServerPlace): unknown {
  const reason = error instanceof Error && error.message !== "" ? error.message : code;
  if (UNTRUSTED.test(code)) {
    const hint = "name the authority of its certificate with --ca FILE";
    return new CliError(`the certificate of ${url} is not trusted here: ${reason}`, { hint, cause: error });
  }
  if (code === "EPROTO" && /wrong version number|packet length too long|http request/.test(reason)) {
    const hint = `say --server http:${url.slice("https:".length)}, or name the port that speaks TLS`;
    return new CliError(`what answers at ${url} does not speak TLS`, { hint, cause: error });
  }
  if (code === "" && !(error instanceof Error)) return error;
  return new CliError(`no cache can be asked at ${url}: ${reason}`, {
    hint: "look at the address, and whether it runs",
    cause: error,
  });
}
