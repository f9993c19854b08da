import { type FileHandle, chmod, open, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join, resolve } from "node:path";
import type { Logger } from "pino";
import { badRequest, ProblemError } from "./problem.ts";

/** In the data folder: who may write there may say what is done there. */
export const CONTROL_SOCKET = "control.sock";
/** Operating systems cut the path of a local socket off at about a hundred bytes (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 100;
const BODY_BYTES_MAX = 1024 * 1024;
const CONNECTIONS_MAX = 32;
const REQUEST_MS_MAX = 30_000;
const HEADERS_MAX = 50;

export interface ControlRequest {
  readonly query: URLSearchParams;
  /** The body, parsed; undefined where there is none. */
  readonly body: unknown;
  /** Aborted when whoever asked has left, or the cache stops. */
  readonly signal: AbortSignal;
}

/** JSON at once, or one line of JSON after the other, as they come. */
export type ControlAnswer =
  | { readonly status: number; readonly body: unknown }
  | { readonly lines: AsyncIterable<unknown> };

export type ControlHandler = (request: ControlRequest) => Promise<ControlAnswer>;
export type ControlMethod = "GET" | "POST" | "DELETE";
/** Path -> method -> what answers it. */
export type ControlRoutes = Readonly<Record<string, Partial<Record<ControlMethod, ControlHandler>>>>;

/** The way in for commands on this machine, for the user whose cache it is and for root. */
export interface Control {
  stop(): Promise<void>;
}

/** Listens in the data folder, which must be locked: what another process has left there is replaced. */
export async function listenForControl(dataDir: string, routes: ControlRoutes, log: Logger): Promise<Control> {
  const life = new AbortController();
  const server = createServer({ requestTimeout: REQUEST_MS_MAX, headersTimeout: REQUEST_MS_MAX }, (req, res) => {
    void handle(req, res, routes, life.signal, log);
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
  routes: ControlRoutes,
  life: AbortSignal,
  log: Logger,
): Promise<void> {
  const gone = new AbortController();
  res.once("close", () => gone.abort(new Error("whoever asked has left")));
  const signal = AbortSignal.any([gone.signal, life]);
  try {
    const url = new URL(req.url ?? "/", "http://control");
    const answer = await handlerFor(
      routes,
      url.pathname,
      req.method ?? "",
    )({
      query: url.searchParams,
      body: await bodyOf(req),
      signal,
    });
    if ("lines" in answer) await sendLines(res, answer.lines, signal);
    else send(res, answer.status, "application/json", answer.body);
  } catch (error) {
    if (signal.aborted || res.headersSent) return void res.destroy();
    const problem = error instanceof ProblemError ? error : fault(error, log);
    send(res, problem.status, "application/problem+json", problem, problem.headers);
  }
}

function handlerFor(routes: ControlRoutes, path: string, method: string): ControlHandler {
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (route === undefined) throw new ProblemError(404, "Not Found", `there is no ${path} here`);
  const handler = Object.hasOwn(route, method) ? route[method as ControlMethod] : undefined;
  if (handler !== undefined) return handler;
  const allowed = Object.keys(route).join(", ");
  throw new ProblemError(405, "Method Not Allowed", `${path} takes ${allowed}`, { Allow: allowed });
}

function fault(error: unknown, log: Logger): ProblemError {
  log.error({ err: error }, "a command could not be answered");
  return new ProblemError(500, "Internal Server Error", "a fault in the cache; its log says more");
}

async function bodyOf(req: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of req as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > BODY_BYTES_MAX)
      throw new ProblemError(413, "Content Too Large", `at most ${BODY_BYTES_MAX} bytes`, { Connection: "close" });
    pieces.push(piece);
  }
  if (bytes === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(pieces).toString()) as unknown;
  } catch {
    throw badRequest("the body is no JSON");
  }
}

function send(
  res: ServerResponse,
  status: number,
  type: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = `${JSON.stringify(body)}\n`;
  res.writeHead(status, { ...headers, "Content-Type": type, "Content-Length": Buffer.byteLength(text) });
  res.end(text);
}

/** Waits for a reader that is slow: whoever makes the lines makes no more of them meanwhile. */
async function sendLines(res: ServerResponse, lines: AsyncIterable<unknown>, signal: AbortSignal): Promise<void> {
  res.writeHead(200, { "Content-Type": "application/x-ndjson" });
  res.flushHeaders();
  for await (const line of lines) {
    if (res.write(`${JSON.stringify(line)}\n`)) continue;
    await new Promise<void>((done, failed) => {
      const leave = (): void => {
        res.off("drain", drained);
        failed(signal.reason as Error);
      };
      const drained = (): void => {
        signal.removeEventListener("abort", leave);
        done();
      };
      if (signal.aborted) return failed(signal.reason as Error);
      signal.addEventListener("abort", leave, { once: true });
      res.once("drain", drained);
    });
  }
  res.end();
}
