import { type FileHandle, chmod, open, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join, resolve } from "node:path";
import type { Logger } from "pino";
import { API_BODY, bodyOf } from "../server/body.ts";
import { PROBLEM_TYPE, ProblemError, problemOf } from "../server/problem.ts";
import type { ApiAnswer, ApiCaller, AskedApi } from "./api/asked.ts";
import { assertMethod, sendAnswer } from "./send.ts";

/** In the data folder: who may write there may say what is done there. */
export const CONTROL_SOCKET = "control.sock";
/** Operating systems cut the path of a local socket off at about a hundred bytes (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 100;
const CONNECTIONS_MAX = 32;
const REQUEST_MS_MAX = 30_000;
const HEADERS_MAX = 50;

/** Whoever may open the socket may do all. */
const CALLER: ApiCaller = { name: "the local socket", isAdmin: true };

/** Made when it is first asked for: most caches are never asked. */
export type LazyApi = () => Promise<AskedApi>;

/** The way in for commands on this machine, for the user whose cache it is and for root. */
export interface Control {
  stop(): Promise<void>;
}

/** Listens in the data folder, which must be locked: what another process has left there is replaced. */
export async function listenForControl(dataDir: string, api: LazyApi, log: Logger): Promise<Control> {
  const life = new AbortController();
  const server = createServer({ requestTimeout: REQUEST_MS_MAX, headersTimeout: REQUEST_MS_MAX }, (req, res) => {
    void handle(req, res, api, life.signal, log);
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.maxHeadersCount = HEADERS_MAX;
  const place = await controlPlace(dataDir);
  try {
    await rm(place.path, { force: true });
    await listening(server, place.path);
    await chmod(place.path, 0o600);
  } catch (error) {
    server.close();
    await place.folder?.close();
    throw error;
  }
  return {
    stop: async () => {
      life.abort(new Error("the cache is stopping"));
      const closed = new Promise<void>((done) => server.close(() => done()));
      server.closeAllConnections();
      await closed;
      await place.folder?.close();
    },
  };
}

/** Where the socket is; `folder` must stay open as long as the path is used. */
export interface ControlPlace {
  readonly path: string;
  readonly folder?: FileHandle;
}

/** A path that is too long is gone around by way of the open folder, which Linux lets one name by its number. */
export async function controlPlace(dataDir: string): Promise<ControlPlace> {
  const path = join(resolve(dataDir), CONTROL_SOCKET);
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return { path };
  const folder = await open(resolve(dataDir), "r");
  return { path: `/proc/self/fd/${folder.fd}/${CONTROL_SOCKET}`, folder };
}

async function listening(server: Server, path: string): Promise<void> {
  await new Promise<void>((done, failed) => {
    server.once("error", failed);
    server.listen(path, () => {
      server.off("error", failed);
      done();
    });
  });
}

async function handle(
  req: IncomingMessage,
  res: ServerResponse,
  api: LazyApi,
  life: AbortSignal,
  log: Logger,
): Promise<void> {
  const gone = new AbortController();
  res.once("close", () => gone.abort(new Error("whoever asked has left")));
  const signal = AbortSignal.any([gone.signal, life]);
  try {
    await sendAnswer(res, await answered(req, await api(), signal), { signal, isHead: req.method === "HEAD" });
  } catch (error) {
    if (signal.aborted || res.headersSent) return void res.destroy();
    const problem = problemOf(error) ?? fault(error, log);
    const headers = { ...problem.headers, "Content-Type": PROBLEM_TYPE };
    const body = Buffer.from(`${JSON.stringify(problem)}\n`);
    await sendAnswer(res, { status: problem.status, headers, body }, { signal }).catch(() => res.destroy());
  }
}

async function answered(req: IncomingMessage, api: AskedApi, signal: AbortSignal): Promise<ApiAnswer> {
  const { pathname: path, searchParams: query } = new URL(req.url ?? "/", "http://control");
  const method = req.method ?? "";
  assertMethod(api, path, method);
  return await api.answer({
    method,
    path,
    query,
    // Nobody but programs of ours comes here, and they have nothing else to send.
    headers: { contentType: "application/json", lastEventId: headerOf(req, "last-event-id") },
    body: method === "GET" || method === "HEAD" ? undefined : await bodyOf(req, API_BODY),
    caller: CALLER,
    signal,
  });
}

function headerOf({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function fault(error: unknown, log: Logger): ProblemError {
  log.error({ err: error }, "a command could not be answered");
  return new ProblemError(500, "a fault in the cache; its log says more");
}
