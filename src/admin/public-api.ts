import type { Exchange } from "../server/exchange.ts";
import type { Handler } from "../server/handler.ts";
import { API_BODY, bodyOf } from "../server/body.ts";
import { isOfApi } from "../server/problem.ts";
import type { ApiQuestion } from "./api/asked.ts";
import type { LazyApi } from "./control.ts";
import { assertMethod, sendAnswer } from "./send.ts";
import type { WhoMay } from "./who-may.ts";

export interface PublicApiOptions {
  readonly api: LazyApi;
  readonly whoMay: WhoMay;
  /** Ends when the cache stops: streams have no other end. */
  readonly life: AbortSignal;
}

/** `/api/v1/...` where clients come in. */
export function publicApi(options: PublicApiOptions): Handler {
  return (exchange) => isOfApi(exchange.path) && serve(exchange, options);
}

async function serve(exchange: Exchange, { api: lazy, whoMay, life }: PublicApiOptions): Promise<boolean> {
  const { req, res, path, query, isHead, notes } = exchange;
  notes.endpoint = "api";
  const api = await lazy();
  const method = req.method ?? "";
  assertMethod(api, path, method);
  const isRead = method === "GET" || isHead;
  const caller = isRead ? whoMay.assertMayRead(exchange) : whoMay.assertMayAct(exchange);
  const signal = AbortSignal.any([exchange.signal, life]);
  const answer = await api.answer({
    method,
    path,
    query,
    headers: headersOf(exchange),
    body: isRead ? undefined : await bodyOf(req, API_BODY),
    caller,
    signal,
  });
  await sendAnswer(res, answer, {
    signal,
    isHead,
    headers: exchange.headers,
    onBytes: (bytes) => (notes.bytes += bytes),
  });
  return true;
}

function headersOf({ req: { headers } }: Exchange): ApiQuestion["headers"] {
  const lastEventId = headers["last-event-id"];
  return {
    contentType: headers["content-type"],
    ifNoneMatch: headers["if-none-match"],
    lastEventId: typeof lastEventId === "string" ? lastEventId : undefined,
  };
}
