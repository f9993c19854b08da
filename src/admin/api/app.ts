import { createHash } from "node:crypto";
import { OpenAPIHono } from "@hono/zod-openapi";
import { HTTPException } from "hono/http-exception";
import type { Logger } from "pino";
import type { z } from "zod";
import { LATE, within } from "../../lib/wait.ts";
import { ValueError } from "../../lib/value-error.ts";
import { badRequest, PROBLEM_TYPE, ProblemError, type ProblemField, problemOf } from "../../server/problem.ts";
import { PinsFullError } from "../../upkeep/pins/pins.ts";
import { InventoryError } from "../images/errors.ts";
import { noSuchPath } from "../no-such-path.ts";
import type { ApiAnswer, ApiQuestion, AskedApi } from "./asked.ts";
import type { ApiApp, ApiBindings } from "./common.ts";
import { documentOf, documentResource } from "./document.ts";
import { Routes } from "./routing.ts";

/** Questions that are answered at once; each takes memory. */
const QUESTIONS_MAX = 64;
/** A question that is not answered within it has met something that is broken. Streams begin within it. */
const ANSWER_MS_MAX = 30_000;
/** Thousands of images are not taken away in a moment. */
const ACT_MS_MAX = 10 * 60_000;

/** Adds the operations of one resource. */
export type Resource = (app: ApiApp) => void;

/** The API: one app, whichever way questions come in. */
export class Api implements AskedApi {
  readonly #app: ApiApp;
  readonly #routes: Routes;
  readonly #log: Pick<Logger, "error" | "info">;
  #open = 0;

  constructor(resources: readonly Resource[], log: Pick<Logger, "error" | "info">) {
    this.#log = log;
    this.#app = new OpenAPIHono<{ Bindings: ApiBindings }>({
      // Thrown, so that there is one place where errors become answers.
      defaultHook: (result: { success: boolean; target: string; error?: z.ZodError }) => {
        if (!result.success && result.error !== undefined) throw invalid(result.target, result.error);
      },
    });
    this.#app.notFound((c) => {
      throw noSuchPath(c.req.path);
    });
    this.#app.onError((error) => this.#refused(error));
    for (const add of resources) add(this.#app);
    documentResource(this.#app);
    const { definitions } = this.#app.openAPIRegistry;
    this.#routes = new Routes(definitions.flatMap((one) => (one.type === "route" ? [one.route] : [])));
  }

  methodsOf(path: string): readonly string[] {
    return this.#routes.find(path)?.methods ?? [];
  }

  /** As it is served, and kept in `docs/openapi.json`. */
  get document(): object {
    return documentOf(this.#app);
  }

  async answer(question: ApiQuestion): Promise<ApiAnswer> {
    if (this.#open >= QUESTIONS_MAX)
      throw new ProblemError(503, `${QUESTIONS_MAX} questions are being answered already`, RETRY_SOON);
    this.#open += 1;
    try {
      const answering = this.#asked(question);
      const answer = await within(answering, isRead(question.method) ? ANSWER_MS_MAX : ACT_MS_MAX);
      if (answer !== LATE) return answer;
      answering.catch(() => undefined);
      throw new ProblemError(503, "the answer took too long; the cache's log may say why", RETRY_SOON);
    } finally {
      this.#open -= 1;
    }
  }

  async #asked({ method, path, query, headers, body, caller, signal }: ApiQuestion): Promise<ApiAnswer> {
    const found = this.#routes.find(path);
    if (found === undefined) throw noSuchPath(path);
    const asked = method === "HEAD" ? "GET" : method;
    if (asked !== "GET") this.#log.info({ by: caller.name, method, path }, "told to act");
    const { contentType } = headers;
    const request = new Request(`http://api${found.path}?${query.toString()}`, {
      method: asked,
      ...(body === undefined || asked === "GET" ? {} : { body: new Uint8Array(body) }),
      headers: body === undefined || contentType === undefined ? {} : { "Content-Type": contentType },
    });
    const bindings: ApiBindings = { caller, signal, lastEventId: headers.lastEventId };
    const response = await this.#app.fetch(request, bindings);
    return await answerOf(response, asked === "GET" ? headers.ifNoneMatch : undefined, asked === "GET");
  }

  #refused(error: unknown): Response {
    const problem = problemFor(error);
    if (problem === undefined) this.#log.error({ err: error }, "a question of the API could not be answered");
    const told = problem ?? new ProblemError(500, "a fault in the cache; its log says more");
    const headers = { ...told.headers, "Content-Type": PROBLEM_TYPE };
    return new Response(JSON.stringify(told.toJSON()), { status: told.status, headers });
  }
}

function isRead(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

const RETRY_SOON = { headers: { "Retry-After": "1" } };

function problemFor(error: unknown): ProblemError | undefined {
  if (error instanceof HTTPException) return ofLibrary(error);
  if (error instanceof ValueError)
    return badRequest(error.hint === undefined ? error.message : `${error.message}; ${error.hint}`);
  if (error instanceof PinsFullError) return new ProblemError(409, `${error.message}: unpin something first`);
  if (!(error instanceof InventoryError)) return problemOf(error);
  const { parameter, message } = error;
  return badRequest(`${parameter}: ${message}`, [{ parameter, detail: message }]);
}

function ofLibrary(error: HTTPException): ProblemError {
  if (error.status === 415) return new ProblemError(415, "send a body as JSON, with Content-Type: application/json");
  return new ProblemError(error.status, error.status === 400 ? "the body is no JSON" : error.message);
}

/** Of some kinds of mistakes there may be as many as there are fields. */
const FIELDS_TOLD_MAX = 20;

function invalid(target: string, { issues }: z.ZodError): ProblemError {
  const isBody = target === "json";
  const fields = issues.slice(0, FIELDS_TOLD_MAX).map(({ path, message }): ProblemField => {
    const names = path.map(String);
    return isBody
      ? { pointer: `#${names.map((name) => `/${name}`).join("")}`, detail: message }
      : { parameter: names.join("."), detail: message };
  });
  const [first] = issues;
  const where = first?.path.join(".") || (isBody ? "the body" : "the query");
  return badRequest(`${where}: ${first?.message ?? "is wrong"}`, fields);
}

/** JSON as a whole, which can be told from what was sent before; anything else as it comes. */
async function answerOf(response: Response, known: string | undefined, wasRead: boolean): Promise<ApiAnswer> {
  const { status } = response;
  const headers = Object.fromEntries(response.headers);
  const type = headers["content-type"] ?? "";
  if (response.body !== null && !/json$|json;/.test(type.replace("application/x-ndjson", ""))) {
    return { status, headers: { ...NO_STORE, ...headers }, body: response.body };
  }
  const text = await response.text();
  const body = Buffer.from(text === "" ? "" : `${text}\n`);
  if (!wasRead || status !== 200) return { status, headers: { ...NO_STORE, ...headers }, body };
  const tag = `"${createHash("sha256").update(body).digest("base64url").slice(0, TAG_LENGTH)}"`;
  // Kept by whoever asks alone, and asked for again each time.
  const kept: Record<string, string> = { "cache-control": "private, no-cache", ...headers, etag: tag };
  if (!isKnown(known, tag)) return { status, headers: kept, body };
  const { "content-type": _, ...others } = kept;
  return { status: 304, headers: others, body: Buffer.alloc(0) };
}

const NO_STORE = { "cache-control": "no-store" };
const TAG_LENGTH = 22;

/** If-None-Match (RFC 9110, section 13.1.2). */
function isKnown(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  return header.split(",").some((one) => ["*", tag].includes(one.trim().replace(/^W\//, "")));
}
