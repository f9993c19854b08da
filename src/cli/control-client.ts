import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { createInterface } from "node:readline";
import { controlPlace } from "../admin/control.ts";
import { CliError } from "./failure.ts";

/** A cache that does not answer a command within it is not going to. */
const ANSWER_MS_MAX = 30_000;
const BODY_BYTES_MAX = 16 * 1024 * 1024;

const BROKEN_OFF = "the cache has broken off: it was stopped, or something is wrong with it";

export interface ControlQuestion {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  readonly signal: AbortSignal;
}

/** Asks the running cache by its local socket; rejects with a `CliError` where none runs, and for what it refuses. */
export async function askCache(dataDir: string, question: ControlQuestion): Promise<unknown> {
  return JSON.parse(await textOf(await answerOf(dataDir, question))) as unknown;
}

/** The lines of an answer as they come. */
export async function* linesOfCache(dataDir: string, question: ControlQuestion): AsyncIterable<unknown> {
  const answer = await answerOf(dataDir, question);
  try {
    for await (const line of createInterface({ input: answer, crlfDelay: Infinity })) {
      if (line !== "") yield JSON.parse(line) as unknown;
    }
    if (!answer.complete) throw new CliError(BROKEN_OFF);
  } catch (error) {
    throw question.signal.aborted ? question.signal.reason : explained(error, dataDir);
  } finally {
    answer.destroy();
  }
}

async function answerOf(dataDir: string, { method, path, body, signal }: ControlQuestion): Promise<IncomingMessage> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers =
    text === undefined ? {} : { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) };
  let place;
  try {
    place = await controlPlace(dataDir);
    const asking = request({ socketPath: place.path, path, method, headers, signal, timeout: ANSWER_MS_MAX });
    asking.end(text);
    const [answer] = (await once(asking, "response")) as [IncomingMessage];
    // From now on it may take as long as it takes.
    asking.setTimeout(0);
    if (answer.statusCode === 200) return answer;
    throw await refusal(answer);
  } catch (error) {
    throw signal.aborted ? signal.reason : explained(error, dataDir);
  } finally {
    await place?.folder?.close();
  }
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

async function refusal(answer: IncomingMessage): Promise<CliError> {
  const text = await textOf(answer);
  try {
    const { detail } = JSON.parse(text) as { detail?: unknown };
    if (typeof detail === "string") return new CliError(`the cache refuses: ${detail}`);
  } catch {
    // Then the status has to do.
  }
  return new CliError(`the cache answers ${answer.statusCode}`);
}

function explained(error: unknown, dataDir: string): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT" || code === "ECONNREFUSED") {
    const hint = "start it with `registry-cache serve`, or say with --config which one is meant";
    return new CliError(`no cache is running on ${dataDir}`, { hint, cause: error });
  }
  if (code === "EACCES" || code === "EPERM") {
    const hint = "run this command as root, or as the user that the cache runs as";
    return new CliError(`this user may not give commands to the cache on ${dataDir}`, { hint, cause: error });
  }
  if (code === "ECONNRESET" || code === "EPIPE") return new CliError(BROKEN_OFF, { cause: error });
  return error;
}
